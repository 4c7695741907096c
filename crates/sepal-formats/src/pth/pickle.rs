//! A pickle interpreter that builds values and calls nothing.

use std::collections::HashMap;
use std::io::Read;

use super::value::{Heap, Node, Reason, Value};
use crate::error::{FormatError, Result};
use crate::source::Source;

/// Opcodes executed at most: some 16 per tensor of a checkpoint with optimizer state, and room for a million tensors.
const MAX_STEPS: u32 = 1 << 23;
/// Longest string kept; names are far shorter, longer ones (a module's source) become [`Value::Other`].
const MAX_TEXT: u64 = 1 << 12;
/// Values on the stack, and values remembered.
const MAX_HELD: usize = 1 << 20;
/// Longest line of the opcodes that carry text.
const MAX_LINE: usize = 1 << 12;

/// Runs the pickle at the source's position, leaves the source after its end, and returns what it builds.
pub(super) fn load<R: Read>(source: &mut Source<R>, heap: &mut Heap) -> Result<Value> {
    let mut machine = Machine { source, heap, stack: Vec::new(), marks: Vec::new(), memo: HashMap::new() };
    for _ in 0..MAX_STEPS {
        let at = machine.source.at;
        match machine.byte().and_then(|opcode| machine.step(opcode)) {
            Ok(None) => {}
            Ok(Some(value)) => return Ok(value),
            Err(Stop::Reason(reason)) => {
                return Err(FormatError::Pickle { file: machine.source.name.clone(), offset: at, reason });
            }
            Err(Stop::Error(error)) => return Err(error),
        }
    }
    let reason = format!("it has more than {MAX_STEPS} opcodes");
    Err(FormatError::Pickle { file: machine.source.name.clone(), offset: machine.source.at, reason })
}

struct Machine<'a, R> {
    source: &'a mut Source<R>,
    heap: &'a mut Heap,
    stack: Vec<Value>,
    /// Heights of the stack at which marks stand.
    marks: Vec<usize>,
    memo: HashMap<u32, Value>,
}

/// Why a step ends the run: something wrong with the pickle, or with reading it.
enum Stop {
    Reason(Reason),
    Error(FormatError),
}

impl From<Reason> for Stop {
    fn from(reason: Reason) -> Self {
        Self::Reason(reason)
    }
}

impl From<&str> for Stop {
    fn from(reason: &str) -> Self {
        Self::Reason(reason.to_owned())
    }
}

impl From<FormatError> for Stop {
    fn from(error: FormatError) -> Self {
        Self::Error(error)
    }
}

type Step<T> = std::result::Result<T, Stop>;

impl<R: Read> Machine<'_, R> {
    fn check(&self, n: u64) -> Step<()> {
        let left = self.source.left();
        if n > left {
            return Err(Stop::Reason(format!("{n} bytes should follow, but {left} are left: it was cut short")));
        }
        Ok(())
    }

    fn byte(&mut self) -> Step<u8> {
        let [byte] = self.array()?;
        Ok(byte)
    }

    fn array<const N: usize>(&mut self) -> Step<[u8; N]> {
        self.check(N as u64)?;
        Ok(self.source.array()?)
    }

    /// `n` bytes that nothing needs.
    fn skip(&mut self, n: u64) -> Step<Value> {
        self.check(n)?;
        std::io::copy(&mut self.source.reader().by_ref().take(n), &mut std::io::sink())
            .map_err(|source| FormatError::Read { file: self.source.name.clone(), source })?;
        self.source.at += n;
        Ok(Value::Other)
    }

    /// A string of `n` bytes.
    fn text(&mut self, n: u64) -> Step<Value> {
        if n > MAX_TEXT {
            return self.skip(n);
        }
        self.check(n)?;
        let bytes = self.source.take(n as usize)?;
        match String::from_utf8(bytes) {
            Ok(text) => Ok(self.heap.add(Node::Str(text))?),
            // Strings of Python 2 may be bytes; no tensor's name is.
            Err(_) => Ok(Value::Other),
        }
    }

    fn line(&mut self) -> Step<String> {
        let mut line = Vec::new();
        loop {
            match self.byte()? {
                b'\n' => break,
                byte => line.push(byte),
            }
            if line.len() > MAX_LINE {
                return Err("a name is too long".into());
            }
        }
        Ok(String::from_utf8(line).map_err(|_| "a name is not UTF-8")?)
    }

    /// A little-endian two's complement number of `n` bytes; [`Value::Other`] beyond 64 bits.
    fn long(&mut self, n: u64) -> Step<Value> {
        if n > 8 {
            return self.skip(n);
        }
        self.check(n)?;
        let bytes = self.source.take(n as usize)?;
        let negative = bytes.last().is_some_and(|b| b & 0x80 != 0);
        let mut wide = [if negative { 0xff } else { 0 }; 8];
        for (to, from) in wide.iter_mut().zip(&bytes) {
            *to = *from;
        }
        Ok(Value::Int(i64::from_le_bytes(wide)))
    }

    fn pop(&mut self) -> Step<Value> {
        // What lies below a mark is not to be had until the mark is gone.
        let floor = self.marks.last().copied().unwrap_or(0);
        match self.stack.pop() {
            Some(value) if self.stack.len() >= floor => Ok(value),
            _ => Err("it takes a value from an empty stack".into()),
        }
    }

    fn top(&self) -> Step<Value> {
        Ok(self.stack.last().copied().ok_or("it takes a value from an empty stack")?)
    }

    /// What was pushed since the last mark, which is removed.
    fn pop_mark(&mut self) -> Step<Vec<Value>> {
        let mark = self.marks.pop().ok_or("it goes back to a mark that was never set")?;
        if mark > self.stack.len() {
            return Err("it goes back to a mark that is gone".into());
        }
        Ok(self.stack.split_off(mark))
    }

    fn pop_n(&mut self, n: usize) -> Step<Value> {
        let mut items = Vec::with_capacity(n);
        for _ in 0..n {
            items.push(self.pop()?);
        }
        items.reverse();
        Ok(self.heap.add(Node::Sequence(items))?)
    }

    fn sequence(&mut self) -> Step<Value> {
        let items = self.pop_mark()?;
        Ok(self.heap.add(Node::Sequence(items))?)
    }

    fn put(&mut self, key: u32) -> Step<()> {
        let value = self.top()?;
        if self.memo.len() >= MAX_HELD {
            return Err(Stop::Reason(format!("it remembers more than {MAX_HELD} values")));
        }
        self.memo.insert(key, value);
        Ok(())
    }

    fn get(&mut self, key: u32) -> Step<Value> {
        Ok(*self.memo.get(&key).ok_or_else(|| format!("memo {key} was never set"))?)
    }

    /// Items added to a list; one that is no list (an inert object) forgets them.
    fn append(&mut self, items: Vec<Value>) -> Step<()> {
        let list = self.top()?;
        match self.heap.node_mut(list) {
            Some(Node::Sequence(list)) => list.extend(items),
            Some(Node::Object { .. }) => {}
            _ => return Err("it appends to what is no list".into()),
        }
        Ok(())
    }

    fn set_items(&mut self, items: &[Value]) -> Step<()> {
        let dict = self.top()?;
        let (pairs, rest) = items.as_chunks::<2>();
        if !rest.is_empty() {
            return Err("a key has no value".into());
        }
        match self.heap.node_mut(dict) {
            Some(Node::Dict(dict)) => dict.extend(pairs.iter().map(|&[key, value]| (key, value))),
            Some(Node::Object { .. }) => {}
            _ => return Err("it sets an item of what is no dictionary".into()),
        }
        Ok(())
    }

    fn global(&mut self, module: &str, name: &str) -> Step<Value> {
        Ok(self.heap.add(Node::Global(format!("{module}.{name}")))?)
    }

    /// Executes one opcode; the value of STOP ends the run.
    fn step(&mut self, opcode: u8) -> Step<Option<Value>> {
        let value = match opcode {
            0x80 => match self.byte()? {
                2..=5 => return Ok(None),
                other => return Err(Stop::Reason(format!("protocol {other} is not read, 2 to 5 are"))),
            },
            0x95 => {
                self.array::<8>()?;
                return Ok(None);
            }
            b'.' => return self.pop().map(Some),
            b'(' => {
                if self.marks.len() >= MAX_HELD {
                    return Err(Stop::Reason(format!("it sets more than {MAX_HELD} marks")));
                }
                self.marks.push(self.stack.len());
                return Ok(None);
            }
            b'0' => {
                self.pop()?;
                return Ok(None);
            }
            b'1' => {
                self.pop_mark()?;
                return Ok(None);
            }
            b'2' => self.top()?,
            b'N' => Value::None,
            0x88 => Value::Bool(true),
            0x89 => Value::Bool(false),
            b'J' => Value::Int(i64::from(i32::from_le_bytes(self.array()?))),
            b'K' => Value::Int(i64::from(self.byte()?)),
            b'M' => Value::Int(i64::from(u16::from_le_bytes(self.array()?))),
            0x8a => {
                let n = u64::from(self.byte()?);
                self.long(n)?
            }
            0x8b => {
                let n = u64::from(u32::from_le_bytes(self.array()?));
                self.long(n)?
            }
            b'G' => {
                self.array::<8>()?;
                Value::Other
            }
            b'U' | 0x8c => {
                let n = u64::from(self.byte()?);
                self.text(n)?
            }
            b'T' | b'X' => {
                let n = u64::from(u32::from_le_bytes(self.array()?));
                self.text(n)?
            }
            0x8d => {
                let n = u64::from_le_bytes(self.array()?);
                self.text(n)?
            }
            b'C' => {
                let n = u64::from(self.byte()?);
                self.skip(n)?
            }
            b'B' => {
                let n = u64::from(u32::from_le_bytes(self.array()?));
                self.skip(n)?
            }
            0x8e | 0x96 => {
                let n = u64::from_le_bytes(self.array()?);
                self.skip(n)?
            }
            b']' | b')' | 0x8f => self.heap.add(Node::Sequence(Vec::new()))?,
            b'l' | b't' | 0x91 => self.sequence()?,
            0x85 => self.pop_n(1)?,
            0x86 => self.pop_n(2)?,
            0x87 => self.pop_n(3)?,
            b'a' => {
                let item = self.pop()?;
                self.append(vec![item])?;
                return Ok(None);
            }
            b'e' | 0x90 => {
                let items = self.pop_mark()?;
                self.append(items)?;
                return Ok(None);
            }
            b'}' => self.heap.add(Node::Dict(Vec::new()))?,
            b'd' => {
                let items = self.pop_mark()?;
                let dict = self.heap.add(Node::Dict(Vec::new()))?;
                self.stack.push(dict);
                self.set_items(&items)?;
                return Ok(None);
            }
            b's' => {
                let value = self.pop()?;
                let key = self.pop()?;
                self.set_items(&[key, value])?;
                return Ok(None);
            }
            b'u' => {
                let items = self.pop_mark()?;
                self.set_items(&items)?;
                return Ok(None);
            }
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.global(&module, &name)?
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                let (Some(module), Some(name)) = (self.heap.text(module), self.heap.text(name)) else {
                    return Err("a global's name is no string".into());
                };
                let (module, name) = (module.to_owned(), name.to_owned());
                self.global(&module, &name)?
            }
            // REDUCE and NEWOBJ: a class or function, and the arguments it would be called with.
            b'R' | 0x81 => {
                let (arguments, class) = (self.pop()?, self.pop()?);
                self.heap.construct(class, arguments)?
            }
            0x92 => {
                let (_, arguments, class) = (self.pop()?, self.pop()?, self.pop()?);
                self.heap.construct(class, arguments)?
            }
            b'b' => {
                let given = self.pop()?;
                let object = self.top()?;
                if let Some(Node::Object { state, .. }) = self.heap.node_mut(object) {
                    *state = Some(given);
                }
                return Ok(None);
            }
            b'Q' => {
                let id = self.pop()?;
                self.heap.persistent(id)?
            }
            b'q' => {
                let key = u32::from(self.byte()?);
                self.put(key)?;
                return Ok(None);
            }
            b'r' => {
                let key = u32::from_le_bytes(self.array()?);
                self.put(key)?;
                return Ok(None);
            }
            0x94 => {
                // Entries of MEMOIZE are numbered by how many there are.
                self.put(self.memo.len() as u32)?;
                return Ok(None);
            }
            b'h' => {
                let key = u32::from(self.byte()?);
                self.get(key)?
            }
            b'j' => {
                let key = u32::from_le_bytes(self.array()?);
                self.get(key)?
            }
            other => return Err(Stop::Reason(format!("opcode {other:#04x} is not one that torch.save writes"))),
        };
        if self.stack.len() >= MAX_HELD {
            return Err(Stop::Reason(format!("it stacks more than {MAX_HELD} values")));
        }
        self.stack.push(value);
        Ok(None)
    }
}
