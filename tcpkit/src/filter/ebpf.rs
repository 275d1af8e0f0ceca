//! eBPF instructions: how they are written into an object, and how they look to people.

use std::fmt;

/// Registers by their numbers.
pub(super) const R0: u8 = 0;
pub(super) const R1: u8 = 1;
pub(super) const R2: u8 = 2;
pub(super) const R3: u8 = 3;
pub(super) const R4: u8 = 4;
pub(super) const FRAME: u8 = 10;

pub(super) const ALU32: u8 = 0x04;
pub(super) const ALU64: u8 = 0x07;
pub(super) const JMP: u8 = 0x05;
pub(super) const JMP32: u8 = 0x06;
/// The second operand is a register.
pub(super) const REGISTER: u8 = 0x08;

pub(super) const ADD: u8 = 0x00;
pub(super) const SUB: u8 = 0x10;
pub(super) const OR: u8 = 0x40;
pub(super) const AND: u8 = 0x50;
pub(super) const LSH: u8 = 0x60;
pub(super) const MOV: u8 = 0xb0;
/// To network order, or from it.
pub(super) const TO_BE: u8 = 0xd8;

pub(super) const JA: u8 = 0x00;
pub(super) const JEQ: u8 = 0x10;
pub(super) const JGT: u8 = 0x20;
pub(super) const JGE: u8 = 0x30;
pub(super) const JSET: u8 = 0x40;
pub(super) const JNE: u8 = 0x50;
pub(super) const CALL: u8 = 0x80;
pub(super) const EXIT: u8 = 0x90;
pub(super) const JLT: u8 = 0xa0;
pub(super) const JLE: u8 = 0xb0;

const CLASS_LDX: u8 = 0x01;
const CLASS_ST: u8 = 0x02;
const CLASS_STX: u8 = 0x03;
/// A load's or store's memory is at a register plus an offset.
const MEM: u8 = 0x60;

/// How many bytes a load or store moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Size {
    Byte,
    Half,
    Word,
}

impl Size {
    pub(super) fn bytes(self) -> i32 {
        match self {
            Self::Byte => 1,
            Self::Half => 2,
            Self::Word => 4,
        }
    }

    fn code(self) -> u8 {
        match self {
            Self::Byte => 0x10,
            Self::Half => 0x08,
            Self::Word => 0x00,
        }
    }
}

/// One instruction of eight bytes. The two-part ones are not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Insn {
    code: u8,
    to: u8,
    from: u8,
    offset: i16,
    constant: i32,
}

impl Insn {
    /// Does nothing: jumps to the next instruction.
    pub(super) const NOP: Self = Self { code: JMP | JA, to: 0, from: 0, offset: 0, constant: 0 };

    /// An operation of a class on a register and a constant.
    pub(super) fn constant(class: u8, operation: u8, to: u8, constant: i32) -> Self {
        Self { code: class | operation, to, from: 0, offset: 0, constant }
    }

    /// An operation of a class on two registers.
    pub(super) fn register(class: u8, operation: u8, to: u8, from: u8) -> Self {
        Self { code: class | REGISTER | operation, to, from, offset: 0, constant: 0 }
    }

    pub(super) fn load(size: Size, to: u8, from: u8, offset: i16) -> Self {
        Self { code: CLASS_LDX | MEM | size.code(), to, from, offset, constant: 0 }
    }

    pub(super) fn store(size: Size, to: u8, offset: i16, from: u8) -> Self {
        Self { code: CLASS_STX | MEM | size.code(), to, from, offset, constant: 0 }
    }

    pub(super) fn store_zero(to: u8, offset: i16) -> Self {
        Self { code: CLASS_ST | MEM, to, from: 0, offset, constant: 0 }
    }

    pub(super) fn to_be(to: u8, size: Size) -> Self {
        Self { code: ALU32 | TO_BE, to, from: 0, offset: 0, constant: size.bytes() * 8 }
    }

    pub(super) fn call(helper: i32) -> Self {
        Self { code: JMP | CALL, to: 0, from: 0, offset: 0, constant: helper }
    }

    pub(super) fn exit() -> Self {
        Self { code: JMP | EXIT, to: 0, from: 0, offset: 0, constant: 0 }
    }

    /// A jump that the verifier takes for a condition and knows to hold.
    pub(super) fn skip(offset: i16) -> [Self; 2] {
        [Self::constant(ALU64, MOV, R0, 0), Self::constant(JMP, JEQ, R0, 0).at(offset)]
    }

    /// The same instruction with another offset: for jumps, whose targets are known last.
    pub(super) fn at(self, offset: i16) -> Self {
        Self { offset, ..self }
    }

    /// As the kernel of this machine reads it.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 8] {
        let registers = if cfg!(target_endian = "big") {
            self.to << 4 | self.from
        } else {
            self.from << 4 | self.to
        };
        let [offset_a, offset_b] = self.offset.to_ne_bytes();
        let [a, b, c, d] = self.constant.to_ne_bytes();
        [self.code, registers, offset_a, offset_b, a, b, c, d]
    }

    /// A program's beginning that sets the filter's second argument (0 for packets that come in):
    /// for a program that is nothing but a filter, since a program has one argument only.
    #[must_use]
    pub fn second_argument(value: i32) -> Self {
        Self::constant(ALU64, MOV, R2, value)
    }
}

fn arithmetic(operation: u8) -> &'static str {
    match operation {
        ADD => "+=",
        SUB => "-=",
        0x20 => "*=",
        0x30 => "/=",
        OR => "|=",
        AND => "&=",
        LSH => "<<=",
        0x70 => ">>=",
        0x90 => "%=",
        0xa0 => "^=",
        _ => "=",
    }
}

fn comparison(operation: u8) -> &'static str {
    match operation {
        JEQ => "==",
        JGT => ">",
        JGE => ">=",
        JSET => "&",
        JNE => "!=",
        JLT => "<",
        _ => "<=",
    }
}

/// In the words of the kernel's verifier.
impl fmt::Display for Insn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { code, to, from, offset, constant } = *self;
        let (class, operation) = (code & 0x07, code & 0xf0);
        let name = if matches!(class, ALU32 | JMP32) { 'w' } else { 'r' };
        let second =
            if code & REGISTER != 0 { format!("{name}{from}") } else { format!("{constant:#x}") };
        let width = match code & 0x18 {
            0x10 => "u8",
            0x08 => "u16",
            _ => "u32",
        };
        match class {
            CLASS_LDX => write!(f, "r{to} = *({width} *)(r{from} {offset:+})"),
            CLASS_ST => write!(f, "*({width} *)(r{to} {offset:+}) = {constant}"),
            CLASS_STX => write!(f, "*({width} *)(r{to} {offset:+}) = r{from}"),
            JMP if operation == JA => write!(f, "goto {offset:+}"),
            JMP if operation == CALL => write!(f, "call {constant}"),
            JMP if operation == EXIT => write!(f, "exit"),
            JMP | JMP32 => {
                write!(f, "if {name}{to} {} {second} goto {offset:+}", comparison(operation))
            }
            _ if code == ALU32 | TO_BE => write!(f, "r{to} = be{constant} r{to}"),
            _ if operation == 0x80 => write!(f, "{name}{to} = -{name}{to}"),
            _ => write!(f, "{name}{to} {} {second}", arithmetic(operation)),
        }
    }
}

/// A program, one numbered instruction a line.
pub(super) struct Listing<'a>(pub(super) &'a [Insn]);

impl fmt::Display for Listing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, one) in self.0.iter().enumerate() {
            writeln!(f, "{at:4}: {one}")?;
        }
        Ok(())
    }
}
