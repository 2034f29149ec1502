use mvm_core::template as ours;
use old::template as theirs;

use super::documents;
use crate::source::*;

documents! {
    record TemplateConfig { template_id: template_or_none, flake_ref: flake, profile, variants }
    record TemplateVariant { name: template_or_none, role, profile, vcpus, mem_mib, data_disk_mib }
    record TemplateSpec {
        schema_version, template_id: template, flake_ref: flake, profile, role, vcpus, mem_mib,
        data_disk_mib, created_at: any_time, updated_at: any_time,
    }
    record SnapshotInfo {
        created_at: any_time, vmstate_size_bytes, mem_size_bytes, boot_args, vcpus, mem_mib,
    }
    choice TemplateKind { Image, Snapshot(any) }
    record TemplateRevision {
        schema_version, revision_hash: revision, flake_ref: flake, flake_lock_hash: hash, artifact_paths,
        built_at: any_time, profile, role, vcpus, mem_mib, data_disk_mib, snapshot,
    }
}
