//! The header of a NumPy array file: a Python dictionary literal of three known keys.
//!
//! Parsed here because the literal is this small, and a general Python parser would recurse as deep as a hostile
//! header nests.

/// Element types that become f32.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Float,
    Int,
    Uint,
    Bool,
}

/// An element type with its width in bytes and byte order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct DType {
    pub(super) kind: Kind,
    pub(super) bytes: u8,
    pub(super) big_endian: bool,
}

impl DType {
    /// From the array interface's spelling, such as `<f4`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut chars = text.chars();
        let order = chars.next()?;
        let (kind, widths): (Kind, &[u8]) = match chars.next()? {
            'f' => (Kind::Float, &[2, 4, 8]),
            'i' => (Kind::Int, &[1, 2, 4, 8]),
            'u' => (Kind::Uint, &[1, 2, 4, 8]),
            'b' => (Kind::Bool, &[1]),
            _ => return None,
        };
        let bytes = chars.as_str().parse().ok()?;
        let big_endian = match order {
            '<' => false,
            '>' => true,
            '|' if bytes == 1 => false,
            _ => return None,
        };
        widths.contains(&bytes).then_some(Self { kind, bytes, big_endian })
    }
}

/// What the dictionary says.
#[derive(Debug, PartialEq)]
pub(super) struct Header {
    pub(super) descr: String,
    pub(super) fortran_order: bool,
    pub(super) shape: Vec<u64>,
}

/// Parses the dictionary.
///
/// # Errors
/// The offset within `text` and what is wrong there.
pub(super) fn parse(text: &[u8]) -> Result<Header, (usize, String)> {
    let mut p = Parser { text, at: 0 };
    let (mut descr, mut order, mut shape) = (None, None, None);
    p.expect(b'{')?;
    while !p.skip(b'}') {
        let key_at = p.at;
        let key = p.string()?;
        p.expect(b':')?;
        let first = match key.as_str() {
            "descr" => descr.replace(p.descr()?).is_none(),
            "fortran_order" => order.replace(p.boolean()?).is_none(),
            "shape" => shape.replace(p.tuple()?).is_none(),
            _ => return Err((key_at, format!("unknown key {key:?}"))),
        };
        if !first {
            return Err((key_at, format!("key {key:?} is there twice")));
        }
        if !p.skip(b',') {
            p.expect(b'}')?;
            break;
        }
    }
    p.blanks();
    if p.at < text.len() {
        return Err((p.at, "text after the dictionary".to_owned()));
    }
    match (descr, order, shape) {
        (Some(descr), Some(fortran_order), Some(shape)) => Ok(Header { descr, fortran_order, shape }),
        _ => Err((0, "it lacks one of descr, fortran_order and shape".to_owned())),
    }
}

struct Parser<'a> {
    text: &'a [u8],
    at: usize,
}

impl Parser<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn blanks(&mut self) {
        while self.peek().is_some_and(|c| c.is_ascii_whitespace()) {
            self.at += 1;
        }
    }

    /// Passes `c` if it is next, blanks aside.
    fn skip(&mut self, c: u8) -> bool {
        self.blanks();
        let there = self.peek() == Some(c);
        self.at += usize::from(there);
        there
    }

    fn expect(&mut self, c: u8) -> Result<(), (usize, String)> {
        if self.skip(c) { Ok(()) } else { self.fail(format!("`{}` is expected", char::from(c))) }
    }

    fn fail<T>(&self, reason: String) -> Result<T, (usize, String)> {
        Err((self.at, reason))
    }

    /// A quoted string without escapes, which no key or plain type has.
    fn string(&mut self) -> Result<String, (usize, String)> {
        self.blanks();
        let quote = match self.peek() {
            Some(q @ (b'\'' | b'"')) => q,
            _ => return self.fail("a quoted string is expected".to_owned()),
        };
        let rest = self.text.get(self.at + 1..).unwrap_or_default();
        let Some(len) = rest.iter().position(|&c| c == quote) else {
            return self.fail("the string does not end".to_owned());
        };
        let text = String::from_utf8_lossy(rest.get(..len).unwrap_or_default()).into_owned();
        self.at += len + 2;
        Ok(text)
    }

    /// The element type; a structured type's list comes back as its text, which is no plain type.
    fn descr(&mut self) -> Result<String, (usize, String)> {
        self.blanks();
        if self.peek() != Some(b'[') {
            return self.string();
        }
        let rest = self.text.get(self.at..).unwrap_or_default();
        let Some(len) = rest.iter().position(|&c| c == b']') else {
            return self.fail("the list does not end".to_owned());
        };
        let text = String::from_utf8_lossy(rest.get(..=len).unwrap_or_default()).into_owned();
        self.at += len + 1;
        Ok(text)
    }

    fn boolean(&mut self) -> Result<bool, (usize, String)> {
        self.blanks();
        let rest = self.text.get(self.at..).unwrap_or_default();
        for (word, value) in [("True", true), ("False", false)] {
            if rest.starts_with(word.as_bytes()) {
                self.at += word.len();
                return Ok(value);
            }
        }
        self.fail("True or False is expected".to_owned())
    }

    fn tuple(&mut self) -> Result<Vec<u64>, (usize, String)> {
        self.expect(b'(')?;
        let mut dims = Vec::new();
        while !self.skip(b')') {
            dims.push(self.integer()?);
            if !self.skip(b',') {
                self.expect(b')')?;
                break;
            }
        }
        Ok(dims)
    }

    fn integer(&mut self) -> Result<u64, (usize, String)> {
        self.blanks();
        let mut value: Option<u64> = None;
        while let Some(digit) = self.peek().filter(u8::is_ascii_digit) {
            let next = value.unwrap_or(0).checked_mul(10).and_then(|v| v.checked_add(u64::from(digit - b'0')));
            if next.is_none() {
                return self.fail("a dimension is too large".to_owned());
            }
            value = next;
            self.at += 1;
        }
        // Python 2 wrote long integers with an L.
        if value.is_some() && self.peek() == Some(b'L') {
            self.at += 1;
        }
        match value {
            Some(value) => Ok(value),
            None => self.fail("a whole number is expected".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_numpy_writes() {
        let header = parse(b"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }     \n").unwrap();
        assert_eq!(header, Header { descr: "<f4".into(), fortran_order: false, shape: vec![2, 3] });
        let header = parse(b"{\"shape\":(7L,),'descr':'|u1','fortran_order':True}").unwrap();
        assert_eq!(header, Header { descr: "|u1".into(), fortran_order: true, shape: vec![7] });
        let header = parse(b"{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': ()}").unwrap();
        assert_eq!((header.descr.as_str(), header.shape.len()), ("[('a', '<f4')]", 0));
    }

    #[test]
    fn what_it_must_not_write() {
        for (text, at, reason) in [
            ("", 0, "`{`"),
            ("{", 1, "quoted string"),
            ("{'descr", 1, "does not end"),
            ("{'descr' '<f4'", 9, "`:`"),
            ("{'descr': ['<f4'", 10, "does not end"),
            ("{'other': 1}", 1, "unknown key"),
            ("{'descr': '<f4', 'descr': '<f4'}", 17, "twice"),
            ("{'fortran_order': 1}", 18, "True or False"),
            ("{'shape': (-1,)}", 11, "whole number"),
            ("{'shape': (1 2)}", 13, "`)`"),
            ("{'shape': (99999999999999999999,)}", 30, "too large"),
            ("{'shape': (1,)}", 0, "lacks"),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': ()} x", 54, "after"),
        ] {
            let error = parse(text.as_bytes()).unwrap_err();
            assert!(error.0 == at && error.1.contains(reason), "{text}: {error:?}");
        }
    }

    #[test]
    fn types() {
        let dtype = |kind, bytes, big_endian| Some(DType { kind, bytes, big_endian });
        assert_eq!(DType::parse("<f4"), dtype(Kind::Float, 4, false));
        assert_eq!(DType::parse(">i8"), dtype(Kind::Int, 8, true));
        assert_eq!(DType::parse("|b1"), dtype(Kind::Bool, 1, false));
        for text in ["", "<", "<f", "<f3", "<f16", "<c8", "|O", "<U3", "|f4", "f4", "<f+4x", "[('a', '<f4')]"] {
            assert_eq!(DType::parse(text), None, "{text}");
        }
    }
}
