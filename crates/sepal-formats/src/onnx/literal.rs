//! Lists of names as Python or JSON prints them: `["cat", "dog"]`, `{0: 'cat', 1: 'dog'}`, `{"0": "cat"}`.

use std::collections::BTreeMap;
use std::iter::Peekable;
use std::str::Chars;

/// More names than any data set has classes.
const MAX_NAMES: usize = 1 << 20;

/// The names in order; `None` if the text is no such list, or its indices have gaps.
pub(super) fn names(text: &str) -> Option<Vec<String>> {
    let mut text = Text(text.trim().chars().peekable());
    let names = match text.0.next()? {
        '[' | '(' => text.list()?,
        '{' => text.dict()?,
        _ => return None,
    };
    text.space();
    text.0.next().is_none().then_some(names)
}

struct Text<'a>(Peekable<Chars<'a>>);

impl Text<'_> {
    fn space(&mut self) {
        while self.0.next_if(|c| c.is_whitespace()).is_some() {}
    }

    /// The next character after spaces, if it is `c`.
    fn is(&mut self, c: char) -> bool {
        self.space();
        self.0.next_if_eq(&c).is_some()
    }

    fn closed(&mut self) -> bool {
        self.is(']') || self.is(')') || self.is('}')
    }

    fn list(&mut self) -> Option<Vec<String>> {
        let mut names = Vec::new();
        while !self.closed() {
            names.push(self.string()?);
            if names.len() > MAX_NAMES || (!self.is(',') && !matches!(self.0.peek(), Some(']' | ')'))) {
                return None;
            }
        }
        Some(names)
    }

    fn dict(&mut self) -> Option<Vec<String>> {
        let mut names = BTreeMap::new();
        while !self.closed() {
            let index = self.index()?;
            let name = if self.is(':') { self.string()? } else { return None };
            names.insert(index, name);
            if names.len() > MAX_NAMES || (!self.is(',') && self.0.peek() != Some(&'}')) {
                return None;
            }
        }
        names.keys().copied().eq(0..names.len()).then(|| names.into_values().collect())
    }

    fn index(&mut self) -> Option<usize> {
        self.space();
        if matches!(self.0.peek(), Some('"' | '\'')) {
            return self.string()?.parse().ok();
        }
        let mut digits = String::new();
        while let Some(digit) = self.0.next_if(char::is_ascii_digit) {
            digits.push(digit);
        }
        digits.parse().ok()
    }

    fn string(&mut self) -> Option<String> {
        self.space();
        let quote = self.0.next_if(|c| matches!(c, '"' | '\''))?;
        let mut out = String::new();
        loop {
            match self.0.next()? {
                c if c == quote => return Some(out),
                '\\' => out.push(self.escape()?),
                c => out.push(c),
            }
        }
    }

    fn escape(&mut self) -> Option<char> {
        match self.0.next()? {
            'n' => Some('\n'),
            't' => Some('\t'),
            'r' => Some('\r'),
            'b' => Some('\u{8}'),
            'f' => Some('\u{c}'),
            'x' => self.code(2),
            'u' => self.code(4),
            'U' => self.code(8),
            c @ ('"' | '\'' | '\\' | '/') => Some(c),
            _ => None,
        }
    }

    /// The character whose number has so many hexadecimal digits.
    fn code(&mut self, digits: usize) -> Option<char> {
        let text: String = (0..digits).map_while(|_| self.0.next_if(char::is_ascii_hexdigit)).collect();
        let number = u32::from_str_radix(&text, 16).ok().filter(|_| text.len() == digits)?;
        char::from_u32(number)
    }
}

#[cfg(test)]
mod tests {
    use super::names;

    #[test]
    fn what_exporters_print() {
        let cat = || Some(vec!["cat".to_owned(), "d'o\"g\n鸟".to_owned()]);
        for text in [
            r#"["cat", "d'o\"g\n鸟"]"#,
            r#"{0: "cat", 1: "d'o\"g\n鸟"}"#,
            r"{1: 'd\'o\x22g\n\u9e1f', 0: 'cat'}",
            r#" { "0" : "cat","1":"d'o\"g\n鸟", } "#,
        ] {
            assert_eq!(names(text), cat(), "{text}");
        }
        assert_eq!(names("[]"), Some(vec![]));
        for text in ["", "cat", "[cat]", "['a' 'b']", "{0: 'a', 2: 'b'}", "['a'", "['a'] x", "{0 'a'}", r"['\q']"] {
            assert_eq!(names(text), None, "{text}");
        }
    }
}
