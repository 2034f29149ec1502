//! defmt frames as text.

use defmt_decoder::{DecodeError, Table};

use crate::Result;

/// Prints every frame of `log`, and fails on bytes that are none.
pub(crate) fn run(image: &str, log: &str) -> Result<()> {
    let image = std::fs::read(image)?;
    let log = std::fs::read(log)?;
    let table = Table::parse(&image)?.ok_or("the image has no defmt data")?;
    let mut decoder = table.new_stream_decoder();
    decoder.received(&log);
    let mut frames = 0;
    loop {
        match decoder.decode() {
            Ok(frame) => {
                frames += 1;
                println!("{}", frame.display(false));
            }
            Err(DecodeError::UnexpectedEof) => break,
            Err(DecodeError::Malformed) => return Err("malformed frame".into()),
        }
    }
    if frames == 0 {
        return Err("no frame".into());
    }
    println!("{frames} frames decoded");
    Ok(())
}
