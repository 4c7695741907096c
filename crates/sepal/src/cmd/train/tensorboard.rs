//! Scalars for TensorBoard: an event file in the run folder.
//!
//! Such a file is a series of records (length, its checksum, message, its checksum; little-endian), each message an `Event`
//! in Protocol Buffers' encoding. Written here because it is less than a dependency would be.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use sepal_train::EpochRow;

/// An event file under way.
pub(super) struct Events(File);

impl Events {
    /// Begins a file in `run`. A resumed run gets one more, which TensorBoard shows as one run.
    pub(super) fn create(run: &Path) -> io::Result<Self> {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let name = format!("events.out.tfevents.{}.{}.sepal", since.as_secs(), std::process::id());
        let mut events = Self(File::create(run.join(name))?);
        let mut event = time();
        bytes(&mut event, 3, b"brain.Event:2");
        events.record(&event)?;
        Ok(events)
    }

    /// Adds the figures of an epoch, under its number as the step.
    pub(super) fn epoch(&mut self, row: &EpochRow, set: Option<&str>) -> io::Result<()> {
        let set = set.unwrap_or("val");
        let scalars = [
            ("loss/train".to_owned(), Some(row.train_loss)),
            (format!("loss/{set}"), row.loss),
            ("top1/train".to_owned(), Some(row.train_top1)),
            (format!("top1/{set}"), row.top1),
            (format!("miou/{set}"), row.miou),
            (format!("top5/{set}"), row.top5),
            ("ortho/train".to_owned(), row.ortho),
            ("learning_rate".to_owned(), Some(row.lr)),
            ("images_per_second".to_owned(), Some(row.images_per_second)),
            ("waited".to_owned(), Some(row.waited)),
        ];
        let mut summary = Vec::new();
        for (tag, value) in scalars {
            let Some(value) = value else { continue };
            let mut scalar = Vec::new();
            bytes(&mut scalar, 1, tag.as_bytes());
            scalar.push(2 << 3 | FIXED32);
            scalar.extend((value as f32).to_le_bytes());
            bytes(&mut summary, 1, &scalar);
        }
        let mut event = time();
        event.push(2 << 3);
        varint(&mut event, row.epoch as u64);
        bytes(&mut event, 5, &summary);
        self.record(&event)
    }

    fn record(&mut self, message: &[u8]) -> io::Result<()> {
        let length = (message.len() as u64).to_le_bytes();
        let mut record = Vec::with_capacity(message.len() + 16);
        record.extend(length);
        record.extend(masked(&length).to_le_bytes());
        record.extend(message);
        record.extend(masked(message).to_le_bytes());
        self.0.write_all(&record)
    }
}

/// Protocol Buffers' wire types.
const FIXED64: u8 = 1;
const LENGTH: u8 = 2;
const FIXED32: u8 = 5;

/// An event with its time, field 1.
fn time() -> Vec<u8> {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    let mut event = vec![1 << 3 | FIXED64];
    event.extend(seconds.to_le_bytes());
    event
}

fn bytes(to: &mut Vec<u8>, field: u8, value: &[u8]) {
    to.push(field << 3 | LENGTH);
    varint(to, value.len() as u64);
    to.extend(value);
}

fn varint(to: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        to.push(value as u8 | 0x80);
        value >>= 7;
    }
    to.push(value as u8);
}

/// The records' checksum: CRC-32C, rotated and shifted so that sums of data that hold sums stay good.
fn masked(data: &[u8]) -> u32 {
    crc32c(data).rotate_right(15).wrapping_add(0xA282_EAD8)
}

/// Castagnoli's cyclic redundancy check, bit by bit: there is little of it.
fn crc32c(data: &[u8]) -> u32 {
    let step = |crc: u32, _| if crc & 1 == 1 { crc >> 1 ^ 0x82F6_3B78 } else { crc >> 1 };
    !data.iter().fold(!0, |crc, &byte| (0..8).fold(crc ^ u32::from(byte), step))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The fields of a message: number and payload, a varint as its eight bytes.
    fn fields(mut data: &[u8]) -> Vec<(u8, Vec<u8>)> {
        fn number(data: &mut &[u8]) -> u64 {
            let mut value = 0;
            for shift in (0..).step_by(7) {
                let byte = data[0];
                *data = &data[1..];
                value |= u64::from(byte & 0x7F) << shift;
                if byte < 0x80 {
                    break;
                }
            }
            value
        }
        let mut list = Vec::new();
        while !data.is_empty() {
            let key = number(&mut data);
            let length = match key & 7 {
                0 => {
                    list.push(((key >> 3) as u8, number(&mut data).to_le_bytes().to_vec()));
                    continue;
                }
                1 => 8,
                2 => number(&mut data) as usize,
                5 => 4,
                other => panic!("wire type {other}"),
            };
            list.push(((key >> 3) as u8, data[..length].to_vec()));
            data = &data[length..];
        }
        list
    }

    #[test]
    fn checksums_of_rfc_3720() {
        assert_eq!(crc32c(b"123456789"), 0xE306_9283);
        assert_eq!((crc32c(&[0; 32]), crc32c(&[0xFF; 32])), (0x8A91_36AA, 0x62A8_AB43));
    }

    #[test]
    fn an_epoch_is_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let json = r#"{"epoch":300,"seconds":1.0,"train_loss":0.5,"train_top1":0.25,"top1":0.75,"top5":null,"loss":null,
                       "lr":0.125,"skipped":0,"images_per_second":64.0,"waited":0.0}"#;
        let row: EpochRow = serde_json::from_str(json).unwrap();
        Events::create(dir.path()).unwrap().epoch(&row, Some("test")).unwrap();
        let file = std::fs::read_dir(dir.path()).unwrap().next().unwrap().unwrap().path();
        let data = std::fs::read(file).unwrap();
        let mut rest = &data[..];
        let mut events = Vec::new();
        while !rest.is_empty() {
            let length = u64::from_le_bytes(rest[..8].try_into().unwrap()) as usize;
            let message = &rest[12..12 + length];
            assert_eq!(rest[8..12], masked(&rest[..8]).to_le_bytes());
            assert_eq!(rest[12 + length..16 + length], masked(message).to_le_bytes());
            events.push(fields(message));
            rest = &rest[16 + length..];
        }
        assert_eq!((events.len(), events[0][1].1.as_slice()), (2, &b"brain.Event:2"[..]));
        let [_, (2, step), (5, summary)] = &events[1][..] else { panic!("{events:?}") };
        assert_eq!(step[..], 300u64.to_le_bytes());
        let scalars: Vec<(String, f32)> = fields(summary)
            .into_iter()
            .map(|(_, scalar)| {
                let [(1, tag), (2, value)] = &fields(&scalar)[..] else { panic!("{scalar:?}") };
                (String::from_utf8(tag.clone()).unwrap(), f32::from_le_bytes(value[..].try_into().unwrap()))
            })
            .collect();
        let expected = [
            ("loss/train", 0.5),
            ("top1/train", 0.25),
            ("top1/test", 0.75),
            ("learning_rate", 0.125),
            ("images_per_second", 64.0),
            ("waited", 0.0),
        ];
        assert_eq!(scalars, expected.map(|(tag, value)| (tag.to_owned(), value)));
    }
}
