//! Breadth first through every state that a configuration reaches.

use core::hash::{Hash, Hasher};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::hash::DefaultHasher;
use std::rc::Rc;
use std::string::String;
use std::vec::Vec;

use super::attacker::{Edit, Message, Origin};
use super::config::Config;
use super::party::{Act, Party};
use super::property::{Event, Violation, judge};
use crate::rules::without;
use crate::session::Side;

/// A state: indices into the explorer's tables, so that it is small and compared exactly. Parties
/// are never taken away: to lose one is the same as to leave it alone from then on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct World {
    guests: Vec<u32>,
    hosts: Vec<u32>,
    guest_snapshots: Vec<u32>,
    host_snapshots: Vec<u32>,
    /// What was sent, in order of index.
    sent: Vec<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Action {
    Act { side: Side, party: u8, act: Act },
    Snapshot { side: Side, party: u8 },
    Restore { side: Side, snapshot: u8 },
}

/// What an act leads to, by index.
#[derive(Clone)]
struct Step {
    party: u32,
    emitted: Option<u32>,
    event: Option<Event>,
    violation: Option<Violation>,
    refused: bool,
}

/// What a run found.
pub(super) struct Report {
    pub(super) name: &'static str,
    pub(super) states: usize,
    pub(super) transitions: usize,
    pub(super) depth: usize,
    /// Which incarnations of guests and of hosts completed a handshake somewhere, and how many
    /// transitions accepted a frame: a run in which nothing happens shows nothing.
    pub(super) guests: BTreeSet<u8>,
    pub(super) hosts: BTreeSet<u8>,
    pub(super) accepted: usize,
    /// The shortest way to a violation.
    pub(super) violation: Option<(Violation, Vec<Action>)>,
}

impl core::fmt::Display for Report {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let Self {
            name,
            states,
            transitions,
            depth,
            ..
        } = self;
        write!(
            f,
            "{name}: {states} states, {transitions} transitions, depth {depth}, "
        )?;
        match &self.violation {
            None => f.write_str("no violation"),
            Some((violation, path)) => write!(f, "{violation:?} after {} steps", path.len()),
        }
    }
}

impl Report {
    /// The counterexample, a step a line.
    pub(super) fn trace(&self) -> String {
        let steps = self.violation.iter().flat_map(|(_, path)| path);
        steps.map(|action| std::format!("  {action:?}\n")).collect()
    }
}

struct Explorer<'c> {
    config: &'c Config,
    parties: Vec<Rc<Party>>,
    party_index: HashMap<[u64; 2], u32>,
    messages: Vec<Message>,
    message_index: HashMap<Message, u32>,
    steps: HashMap<(u32, Act), Rc<Step>>,
    report: Report,
}

/// Explores all that `config` reaches, or up to the first violation.
pub(super) fn explore(config: &Config) -> Report {
    without(config.without, || Explorer::new(config).run())
}

fn fingerprint(party: &Party) -> [u64; 2] {
    [0x9e37_79b9_u64, 0x85eb_ca6b].map(|salt| {
        let mut hasher = DefaultHasher::new();
        salt.hash(&mut hasher);
        party.hash(&mut hasher);
        hasher.finish()
    })
}

impl<'c> Explorer<'c> {
    fn new(config: &'c Config) -> Self {
        Self {
            config,
            parties: Vec::new(),
            party_index: HashMap::new(),
            messages: Vec::new(),
            message_index: HashMap::new(),
            steps: HashMap::new(),
            report: Report {
                name: config.name,
                states: 0,
                transitions: 0,
                depth: 0,
                guests: BTreeSet::new(),
                hosts: BTreeSet::new(),
                accepted: 0,
                violation: None,
            },
        }
    }

    fn party(&mut self, party: Party) -> u32 {
        let next = self.parties.len() as u32;
        let index = *self.party_index.entry(fingerprint(&party)).or_insert(next);
        if index == next {
            self.parties.push(Rc::new(party));
        }
        index
    }

    fn message(&mut self, message: Message) -> u32 {
        if let Some(index) = self.message_index.get(&message) {
            return *index;
        }
        let index = self.messages.len() as u32;
        self.messages.push(message.clone());
        self.message_index.insert(message, index);
        index
    }

    fn run(mut self) -> Report {
        let config = self.config;
        let junk = self.message(Message {
            body: [0x5a; 64].to_vec(),
            origin: Origin::Junk,
        });
        let count = |len: usize| 0..u8::try_from(len).unwrap();
        let guests = count(config.guests.len()).map(|at| Party::guest(config, at));
        let guests = guests
            .collect::<Vec<_>>()
            .into_iter()
            .map(|it| self.party(it))
            .collect();
        let hosts = count(config.hosts.len()).map(|at| Party::host(config, at));
        let hosts = hosts
            .collect::<Vec<_>>()
            .into_iter()
            .map(|it| self.party(it))
            .collect();
        let first = World {
            guests,
            hosts,
            guest_snapshots: Vec::new(),
            host_snapshots: Vec::new(),
            sent: std::vec![junk],
        };
        let mut known = HashSet::from([first.clone()]);
        // For each state how it was reached: from which one, by what, after how many steps.
        let mut worlds = std::vec![(first, 0_usize, None::<Action>, 0_usize)];
        let mut at = 0;
        while at < worlds.len() {
            let (world, _, _, depth) = worlds[at].clone();
            for action in self.actions(&world) {
                self.report.transitions += 1;
                let (next, violation) = self.apply(&world, action);
                let counts = |violation: &Violation| !config.ignored.contains(violation);
                if let Some(violation) = violation.filter(counts) {
                    let mut path = std::vec![action];
                    let mut from = at;
                    while let (_, before, Some(action), _) = worlds[from] {
                        path.push(action);
                        from = before;
                    }
                    path.reverse();
                    self.report.states = worlds.len();
                    self.report.depth = depth + 1;
                    self.report.violation = Some((violation, path));
                    return self.report;
                }
                let Some(next) = next else { continue };
                if known.insert(next.clone()) {
                    self.report.depth = depth + 1;
                    worlds.push((next, at, Some(action), depth + 1));
                }
            }
            at += 1;
        }
        self.report.states = worlds.len();
        self.report
    }

    /// Everything that can happen next.
    fn actions(&self, world: &World) -> Vec<Action> {
        let mut all = Vec::new();
        let config = self.config;
        for (side, indices) in [(Side::Host, &world.hosts), (Side::Guest, &world.guests)] {
            let (snapshots, taken, most_snapshots, most_restores, initial) = match side {
                Side::Host => (
                    &world.host_snapshots,
                    world.hosts.len(),
                    config.host_snapshots,
                    config.host_restores,
                    config.hosts.len(),
                ),
                Side::Guest => (
                    &world.guest_snapshots,
                    world.guests.len(),
                    config.snapshots,
                    config.restores,
                    config.guests.len(),
                ),
            };
            for (at, index) in (0..).zip(indices) {
                let party = &self.parties[*index as usize];
                let mut acts = Vec::new();
                match &**party {
                    Party::Host(_) => self.host_acts(party, world, &mut acts),
                    Party::Guest(_) => self.guest_acts(party, world, &mut acts),
                }
                self.session_acts(party, world, &mut acts);
                all.extend(acts.into_iter().map(|act| Action::Act {
                    side,
                    party: at,
                    act,
                }));
                let quiet = match &**party {
                    Party::Guest(guest) => guest.quiet || !config.planned,
                    Party::Host(_) => true,
                };
                if snapshots.len() < most_snapshots && quiet {
                    all.push(Action::Snapshot { side, party: at });
                }
            }
            if taken - initial < most_restores {
                for (snapshot, _) in (0..).zip(snapshots) {
                    all.push(Action::Restore { side, snapshot });
                }
            }
        }
        all
    }

    /// Every message of a kind, plain and rewritten. Junk stands for every message that the
    /// receiver cannot read; where the configuration wants everything, they are all delivered.
    fn deliveries(&self, world: &World, kind: fn(&Origin) -> bool) -> Vec<(u32, Edit)> {
        let mut all = Vec::new();
        for index in &world.sent {
            let message = &self.messages[*index as usize];
            if kind(&message.origin) || message.origin == Origin::Junk || self.config.everything {
                all.push((*index, Edit::None));
                if self.config.edits {
                    all.extend(message.edits().iter().map(|edit| (*index, *edit)));
                }
            }
        }
        all
    }

    fn host_acts(&self, party: &Party, world: &World, acts: &mut Vec<Act>) {
        let Party::Host(host) = party else { return };
        if host.life.begun() < self.config.attempts {
            acts.extend((0..self.config.services).map(|service| Act::Begin { service }));
        }
        if host.raised < self.config.raises {
            acts.push(Act::Raise);
        }
        if self.config.distrust && !host.life.distrusts() {
            acts.push(Act::Distrust);
        }
        for (pending, state) in (0..).zip(&host.pending) {
            if state.is_verified() {
                acts.push(Act::Finish { pending });
                continue;
            }
            let answers = self.deliveries(world, |origin| matches!(origin, Origin::GuestHello(_)));
            for (message, edit) in answers {
                acts.push(Act::Deliver {
                    pending,
                    message,
                    edit,
                });
            }
        }
    }

    fn guest_acts(&self, party: &Party, world: &World, acts: &mut Vec<Act>) {
        let Party::Guest(guest) = party else { return };
        if guest.life.begun() < self.config.answers {
            let hellos = self.deliveries(world, |origin| *origin == Origin::HostHello);
            for (message, edit) in hellos {
                for service in 0..self.config.services {
                    acts.push(Act::Answer {
                        message,
                        edit,
                        service,
                    });
                }
            }
        }
        if self.config.distrust && !guest.life.distrusts() {
            acts.push(Act::Distrust);
        }
        for (pending, _) in (0..).zip(&guest.pending) {
            let finishes = self.deliveries(world, |origin| matches!(origin, Origin::HostFinish(_)));
            for (message, edit) in finishes {
                acts.push(Act::Deliver {
                    pending,
                    message,
                    edit,
                });
            }
        }
        if self.config.sleeps {
            for (session, _) in (0..).zip(&guest.sessions) {
                acts.push(Act::Sleep {
                    session,
                    unbind: self.config.unbind,
                });
            }
        }
    }

    fn session_acts(&self, party: &Party, world: &World, acts: &mut Vec<Act>) {
        for (session, (sent, _)) in (0..).zip(party.sent()) {
            if sent < self.config.frames {
                acts.push(Act::Seal { session });
                if self.config.closes {
                    acts.push(Act::Close { session });
                }
            }
            if self.config.closes {
                acts.push(Act::EndOfStream { session });
            }
            let frames = self.deliveries(world, |origin| matches!(origin, Origin::Frame(_)));
            for (message, edit) in frames {
                acts.push(Act::Open {
                    session,
                    message,
                    edit,
                });
            }
        }
    }

    fn step(&mut self, party: u32, act: Act) -> Rc<Step> {
        if let Some(step) = self.steps.get(&(party, act)) {
            return Rc::clone(step);
        }
        let actor = Rc::clone(&self.parties[party as usize]);
        let outcome = actor.act(self.config, act, &self.messages);
        let step = Rc::new(Step {
            party: self.party(outcome.party),
            emitted: outcome.emitted.map(|message| self.message(message)),
            event: outcome.event,
            violation: outcome.violation,
            refused: outcome.refused,
        });
        self.steps.insert((party, act), Rc::clone(&step));
        step
    }

    /// Where an action leads, `None` where it changes nothing, and what is wrong with it.
    fn apply(&mut self, world: &World, action: Action) -> (Option<World>, Option<Violation>) {
        match action {
            Action::Snapshot { side, party } => {
                let mut next = world.clone();
                let (list, snapshots) = match side {
                    Side::Guest => (&world.guests, &mut next.guest_snapshots),
                    Side::Host => (&world.hosts, &mut next.host_snapshots),
                };
                snapshots.push(list[usize::from(party)]);
                (Some(next), None)
            }
            Action::Restore { side, snapshot } => {
                let mut next = world.clone();
                let (list, snapshots) = match side {
                    Side::Guest => (&mut next.guests, &world.guest_snapshots),
                    Side::Host => (&mut next.hosts, &world.host_snapshots),
                };
                let copied = &self.parties[snapshots[usize::from(snapshot)] as usize];
                let restored = copied.restored(self.config, u8::try_from(list.len()).unwrap());
                list.push(self.party(restored));
                (Some(next), None)
            }
            Action::Act { side, party, act } => {
                self.apply_act(world, side, usize::from(party), act)
            }
        }
    }

    fn apply_act(
        &mut self,
        world: &World,
        side: Side,
        at: usize,
        act: Act,
    ) -> (Option<World>, Option<Violation>) {
        let list = match side {
            Side::Guest => &world.guests,
            Side::Host => &world.hosts,
        };
        let step = self.step(list[at], act);
        let emitted = step.emitted.filter(|emitted| !world.sent.contains(emitted));
        let idle = step.party == list[at] && emitted.is_none();
        if step.event.is_none() && (idle || (step.refused && !self.config.errors)) {
            return (None, step.violation);
        }
        let others = list.iter().enumerate().filter(|(other, _)| *other != at);
        let others = others.map(|(_, index)| &*self.parties[*index as usize]);
        let sent = world
            .sent
            .iter()
            .map(|index| &self.messages[*index as usize]);
        match &step.event {
            Some(Event::GuestCompleted(guest)) => {
                self.report.guests.insert(guest.incarnation);
            }
            Some(Event::HostCompleted {
                completed: host, ..
            }) => {
                self.report.hosts.insert(host.incarnation);
            }
            Some(Event::Accepted(_)) => self.report.accepted += 1,
            _ => {}
        }
        let judged = step
            .event
            .as_ref()
            .and_then(|event| judge(event, sent, others));
        let mut next = world.clone();
        match side {
            Side::Guest => next.guests[at] = step.party,
            Side::Host => next.hosts[at] = step.party,
        }
        if let Some(emitted) = emitted {
            let place = next.sent.partition_point(|other| *other < emitted);
            next.sent.insert(place, emitted);
        }
        (Some(next), step.violation.or(judged))
    }
}
