//! Classic BPF, which libpcap compiles expressions to: its instructions, and how tcpdump prints them.

use std::fmt;

/// Instruction classes, the lowest three bits of a code.
pub(super) const CLASS_LD: u16 = 0x00;
pub(super) const CLASS_LDX: u16 = 0x01;
pub(super) const CLASS_ST: u16 = 0x02;
pub(super) const CLASS_STX: u16 = 0x03;
pub(super) const CLASS_ALU: u16 = 0x04;
pub(super) const CLASS_JMP: u16 = 0x05;
pub(super) const CLASS_RET: u16 = 0x06;
pub(super) const CLASS_MISC: u16 = 0x07;

/// What loads read.
pub(super) const MODE_IMM: u16 = 0x00;
pub(super) const MODE_ABS: u16 = 0x20;
pub(super) const MODE_IND: u16 = 0x40;
pub(super) const MODE_MEM: u16 = 0x60;
pub(super) const MODE_LEN: u16 = 0x80;
pub(super) const MODE_MSH: u16 = 0xa0;

/// How much loads read.
pub(super) const SIZE_W: u16 = 0x00;
pub(super) const SIZE_H: u16 = 0x08;
pub(super) const SIZE_B: u16 = 0x10;

/// The second operand is X and not the constant.
pub(super) const SOURCE_X: u16 = 0x08;
/// A return's value is A and not the constant.
pub(super) const RETURN_A: u16 = 0x10;
/// Moves X to A; without it A to X.
pub(super) const MISC_TXA: u16 = 0x80;

pub(super) const JMP_JA: u16 = 0x00;
pub(super) const JMP_JEQ: u16 = 0x10;
pub(super) const JMP_JGT: u16 = 0x20;
pub(super) const JMP_JGE: u16 = 0x30;
pub(super) const JMP_JSET: u16 = 0x40;

pub(super) const ALU_LSH: u16 = 0x60;
pub(super) const ALU_RSH: u16 = 0x70;
pub(super) const ALU_DIV: u16 = 0x30;
pub(super) const ALU_NEG: u16 = 0x80;
pub(super) const ALU_MOD: u16 = 0x90;
pub(super) const ALU_XOR: u16 = 0xa0;

/// The words of scratch memory.
pub(super) const MEMORY_WORDS: u32 = 16;

/// From here on an absolute load reads what the kernel knows of the packet, not its bytes.
pub(super) const ANCILLARY: u32 = 0xffff_f000;

/// Names of what ancillary loads read, as tcpdump prints them.
const ANCILLARY_NAMES: [(u32, &str); 15] = [
    (0, "proto"),
    (4, "type"),
    (8, "ifidx"),
    (12, "nla"),
    (16, "nlan"),
    (20, "mark"),
    (24, "queue"),
    (28, "hatype"),
    (32, "rxhash"),
    (36, "cpu"),
    (44, "vlan_tci"),
    (48, "vlanp"),
    (52, "poff"),
    (56, "rand"),
    (60, "vlan_tpid"),
];

/// One instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Classic {
    /// Class, operation, size, mode.
    pub code: u16,
    /// How many instructions to skip when the comparison holds.
    pub jt: u8,
    /// How many to skip when it does not.
    pub jf: u8,
    /// The constant.
    pub k: u32,
}

impl Classic {
    /// The instruction that ends a program with a verdict: 0 refuses.
    #[must_use]
    pub fn ret(verdict: u32) -> Self {
        Self { code: CLASS_RET, jt: 0, jf: 0, k: verdict }
    }

    pub(super) fn class(self) -> u16 {
        self.code & 0x07
    }

    pub(super) fn size(self) -> u16 {
        self.code & 0x18
    }

    pub(super) fn mode(self) -> u16 {
        self.code & 0xe0
    }

    /// The operation of an arithmetic instruction or a jump.
    pub(super) fn operation(self) -> u16 {
        self.code & 0xf0
    }

    /// The second operand of arithmetic or a comparison is X.
    pub(super) fn with_x(self) -> bool {
        self.code & SOURCE_X != 0
    }

    /// Reads what is in scratch memory or writes to it.
    pub(super) fn memory_word(self) -> Option<u32> {
        match self.class() {
            CLASS_LD | CLASS_LDX if self.mode() == MODE_MEM => Some(self.k),
            CLASS_ST | CLASS_STX => Some(self.k),
            _ => None,
        }
    }

    fn is_comparison(self) -> bool {
        self.class() == CLASS_JMP && self.operation() != JMP_JA
    }

    fn name(self) -> &'static str {
        match self.class() {
            CLASS_LD => match self.size() {
                SIZE_H => "ldh",
                SIZE_B => "ldb",
                _ => "ld",
            },
            CLASS_LDX if self.mode() == MODE_MSH => "ldxb",
            CLASS_LDX => "ldx",
            CLASS_ST => "st",
            CLASS_STX => "stx",
            CLASS_ALU => match self.operation() {
                0x00 => "add",
                0x10 => "sub",
                0x20 => "mul",
                ALU_DIV => "div",
                0x40 => "or",
                0x50 => "and",
                ALU_LSH => "lsh",
                ALU_RSH => "rsh",
                ALU_NEG => "neg",
                ALU_MOD => "mod",
                ALU_XOR => "xor",
                _ => "unimp",
            },
            CLASS_JMP => match self.operation() {
                JMP_JA => "ja",
                JMP_JEQ => "jeq",
                JMP_JGT => "jgt",
                JMP_JGE => "jge",
                JMP_JSET => "jset",
                _ => "unimp",
            },
            CLASS_RET => "ret",
            _ if self.code & MISC_TXA != 0 => "txa",
            _ => "tax",
        }
    }

    fn operand(self, at: usize) -> String {
        let k = self.k;
        match self.class() {
            CLASS_LD | CLASS_LDX => match self.mode() {
                MODE_ABS => match k.checked_sub(ANCILLARY) {
                    Some(what) => ANCILLARY_NAMES
                        .iter()
                        .find(|(number, _)| *number == what)
                        .map_or_else(|| format!("[{k}]"), |(_, name)| format!("[{name}]")),
                    None => format!("[{k}]"),
                },
                MODE_IND => format!("[x + {k}]"),
                MODE_MEM => format!("M[{k}]"),
                MODE_LEN => "#pktlen".to_owned(),
                MODE_MSH => format!("4*([{k}]&0xf)"),
                _ => format!("#{k:#x}"),
            },
            CLASS_ST | CLASS_STX => format!("M[{k}]"),
            CLASS_ALU if self.operation() == ALU_NEG => String::new(),
            CLASS_ALU | CLASS_JMP if self.with_x() => "x".to_owned(),
            CLASS_ALU => match self.operation() {
                0x40 | 0x50 | ALU_XOR => format!("#{k:#x}"),
                _ => format!("#{}", k.cast_signed()),
            },
            CLASS_JMP if self.operation() == JMP_JA => {
                format!("{}", at as u64 + 1 + u64::from(k))
            }
            CLASS_JMP => format!("#{k:#x}"),
            CLASS_RET if self.code & RETURN_A == 0 => format!("#{}", k.cast_signed()),
            _ => String::new(),
        }
    }
}

/// A program as `tcpdump -d` prints it.
pub(super) struct Listing<'a>(pub(super) &'a [Classic]);

impl fmt::Display for Listing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, one) in self.0.iter().enumerate() {
            let (name, operand) = (one.name(), one.operand(at));
            if one.is_comparison() {
                let to = |skip: u8| at + 1 + usize::from(skip);
                let (jt, jf) = (to(one.jt), to(one.jf));
                writeln!(f, "({at:03}) {name:<8} {operand:<16} jt {jt}\tjf {jf}")?;
            } else {
                let line = format!("({at:03}) {name:<8} {operand}");
                writeln!(f, "{}", line.trim_end())?;
            }
        }
        Ok(())
    }
}
