//! Whether a JPEG file is all there.
//!
//! The decoder fills what is missing of a file cut short with grey and reports success; a network would
//! be trained on that. So the file's segments are walked to the end-of-image marker before decoding
//! (ITU-T T.81, annex B).

const RESTART_FIRST: u8 = 0xd0;
const RESTART_LAST: u8 = 0xd7;
const START_OF_IMAGE: u8 = 0xd8;
const END_OF_IMAGE: u8 = 0xd9;
const START_OF_SCAN: u8 = 0xda;
const TEMPORARY: u8 = 0x01;

/// `Ok` if the marker segments and scans lead to an end-of-image marker, else the cause.
pub(crate) fn check_complete(bytes: &[u8]) -> Result<(), String> {
    let mut at = 0;
    loop {
        // To the next marker; within a scan, stuffed zeros and restarts belong to the data.
        let marker = loop {
            let Some(step) = bytes.get(at..).and_then(|rest| rest.iter().position(|&b| b == 0xff)) else {
                return Err(cut(bytes));
            };
            at += step + 1;
            match bytes.get(at) {
                None => return Err(cut(bytes)),
                Some(0 | 0xff) => {}
                Some(&marker) => break marker,
            }
        };
        at += 1;
        match marker {
            END_OF_IMAGE => return Ok(()),
            START_OF_IMAGE | TEMPORARY | RESTART_FIRST..=RESTART_LAST => {}
            _ => {
                let Some(&[high, low]) = bytes.get(at..at + 2) else { return Err(cut(bytes)) };
                let length = usize::from(u16::from_be_bytes([high, low]));
                if length < 2 {
                    let offset = at - 2;
                    return Err(format!(
                        "damaged JPEG: the segment {marker:#04x} at byte {offset} has length {length}"
                    ));
                }
                at += length;
                if marker == START_OF_SCAN && at > bytes.len() {
                    return Err(cut(bytes));
                }
            }
        }
    }
}

fn cut(bytes: &[u8]) -> String {
    format!("truncated JPEG: its {} bytes end before the end-of-image marker", bytes.len())
}
