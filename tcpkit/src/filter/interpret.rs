//! Runs an expression over frames that no kernel filtered: those of files.
//!
//! It says of every frame what libpcap says when it reads a file (`pcap_offline_filter`): loads see
//! the captured bytes only, `len` is the length on the wire. The `pcap` crate offers libpcap's own
//! interpreter without a way to tell the two apart, and would refuse what the snaplen cut.
//!
//! The program is taken apart once, so that a frame costs one well-predicted branch an instruction.

use std::hint::black_box;

use pcap::Linktype;

use super::{
    CaptureFilter, FilterError,
    classic::{
        ALU_DIV, ALU_LSH, ALU_MOD, ALU_NEG, ALU_RSH, ALU_XOR, ANCILLARY, CLASS_ALU, CLASS_JMP,
        CLASS_LD, CLASS_LDX, CLASS_MISC, CLASS_RET, CLASS_ST, CLASS_STX, Classic, JMP_JA, JMP_JEQ,
        JMP_JGE, JMP_JGT, Listing, MISC_TXA, MODE_ABS, MODE_IMM, MODE_IND, MODE_LEN, MODE_MEM,
        RETURN_A, SIZE_B, SIZE_H,
    },
    compile,
};
use crate::capture::{Frame, HookDirection, LinkType};

/// The ancillary load that a frame answers: the packet's type. (The interface's index on the host that
/// captured is known to cooked headers only, where libpcap's program reads it.)
const PACKET_TYPE: u32 = 4;

/// Linux's types of packets: for this host, and from it.
const PACKET_HOST: u32 = 0;
const PACKET_OUTGOING: u32 = 4;

/// Words of scratch memory.
const MEMORY: usize = super::classic::MEMORY_WORDS as usize;

/// An expression, ready for the frames of one link type.
#[derive(Clone, Debug)]
pub struct FileProgram {
    ops: Vec<Op>,
    /// Where frames begin with an address family, the program's look at it needs help.
    family: Option<LinkType>,
}

/// What a program says of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The expression selects it.
    Selected,
    /// It does not.
    Refused,
    /// The expression asks which way the frame went, and its source does not say. That refuses it,
    /// too.
    NoDirection,
}

#[derive(Clone, Copy, Debug)]
enum Size {
    Byte,
    Half,
    Word,
}

/// The second operand.
#[derive(Clone, Copy, Debug)]
enum Operand {
    Constant(u32),
    X,
}

#[derive(Clone, Copy, Debug)]
enum Register {
    A,
    X,
}

#[derive(Clone, Copy, Debug)]
enum Alu {
    Add,
    Sub,
    Mul,
    Div,
    Mod,
    Or,
    And,
    Xor,
    Lsh,
    Rsh,
}

#[derive(Clone, Copy, Debug)]
enum Compare {
    Equal,
    Above,
    AtLeast,
    Bits,
}

/// One instruction; jumps have the number of the next one.
#[derive(Clone, Copy, Debug)]
enum Op {
    Load(Size, u32),
    LoadBehindX(Size, u32),
    /// Four times the lower half of a byte: the length of an IPv4 header.
    LoadHeaderLen(u32),
    Direction,
    Set(Register, u32),
    Len(Register),
    Recall(Register, u32),
    Store(Register, u32),
    Move(Register),
    Alu(Alu, Operand),
    Negate,
    Goto(u32),
    Jump(Compare, Operand, u32, u32),
    /// A load and the jump behind it, as nearly all of a program is.
    Test(Test),
    Return(u32),
    ReturnA,
}

/// Loads a value into A and compares it with a constant.
#[derive(Clone, Copy, Debug)]
struct Test {
    size: Size,
    behind_x: bool,
    at: u32,
    compare: Compare,
    with: u32,
    yes: u32,
    no: u32,
}

impl CaptureFilter {
    /// Compiles the expression for the frames of a file.
    ///
    /// # Errors
    /// It has no meaning for this link type, or asks for something that no file tells.
    pub fn for_link(&self, link: LinkType) -> Result<FileProgram, FilterError> {
        FileProgram::new(&self.classic_for(link)?, link)
    }

    /// libpcap's program for the frames of a file, as `tcpdump -d` prints it.
    ///
    /// # Errors
    /// As for [`Self::for_link`].
    pub fn list_for_link(&self, link: LinkType) -> Result<String, FilterError> {
        Ok(Listing(&self.classic_for(link)?).to_string())
    }

    fn classic_for(&self, link: LinkType) -> Result<Vec<Classic>, FilterError> {
        // libpcap's own numbers (`DLT_*`); they are the files' but for raw IP.
        let number = match link {
            LinkType::Ethernet => compile::ETHERNET,
            LinkType::RawIp => compile::RAW_IP,
            LinkType::Null => Linktype(0),
            LinkType::Loop => Linktype(108),
            LinkType::LinuxSll => Linktype(113),
            LinkType::LinuxSll2 => Linktype(276),
        };
        compile::compile(&self.expression, number, self.optimize)
    }
}

impl FileProgram {
    /// Takes a checked program apart.
    fn new(classic: &[Classic], link: LinkType) -> Result<Self, FilterError> {
        let ops =
            classic.iter().enumerate().map(|(at, &one)| op(at, one)).collect::<Result<_, _>>()?;
        let family = matches!(link, LinkType::Null | LinkType::Loop).then_some(link);
        let mut program = Self { ops, family };
        program.join();
        Ok(program)
    }

    /// Joins loads with the jumps behind them, which stay where they are for those that jump to them.
    fn join(&mut self) {
        let behind = self.ops.get(1..).unwrap_or(&[]).to_vec();
        for (op, next) in self.ops.iter_mut().zip(behind) {
            let (size, behind_x, at) = match *op {
                // The address family is not compared as it stands.
                Op::Load(Size::Word, 0) if self.family.is_some() => continue,
                Op::Load(size, at) => (size, false, at),
                Op::LoadBehindX(size, at) => (size, true, at),
                _ => continue,
            };
            if let Op::Jump(compare, Operand::Constant(with), yes, no) = next {
                *op = Op::Test(Test { size, behind_x, at, compare, with, yes, no });
            }
        }
    }

    /// Whether the expression selects a frame, which is of the link type that this was compiled for.
    #[must_use]
    pub fn selects(&self, frame: &Frame<'_>) -> bool {
        self.judge(frame) == Verdict::Selected
    }

    /// The same, and why not.
    #[must_use]
    pub fn judge(&self, frame: &Frame<'_>) -> Verdict {
        self.run(frame).unwrap_or(Verdict::Refused)
    }

    /// `None` where a load finds nothing or a division has no result.
    fn run(&self, frame: &Frame<'_>) -> Option<Verdict> {
        let bytes = frame.bytes;
        let (mut a, mut x) = (0_u32, 0_u32);
        let mut memory = [0_u32; MEMORY];
        let mut at = 0_usize;
        // All jumps go forward, so this ends.
        loop {
            let op = *self.ops.get(at)?;
            at = at.checked_add(1)?;
            match op {
                Op::Load(size, k) => {
                    a = load(bytes, k, size)?;
                    if let (Some(link), Size::Word, 0) = (self.family, size, k) {
                        a = family(link, a);
                    }
                }
                Op::LoadBehindX(size, k) => a = load(bytes, x.checked_add(k)?, size)?,
                Op::LoadHeaderLen(k) => x = (load(bytes, k, Size::Byte)? & 0xf) << 2,
                Op::Direction => {
                    a = match frame.direction {
                        HookDirection::Ingress => PACKET_HOST,
                        HookDirection::Egress => PACKET_OUTGOING,
                        HookDirection::Unknown => return Some(Verdict::NoDirection),
                    }
                }
                Op::Set(Register::A, k) => a = k,
                Op::Set(Register::X, k) => x = k,
                Op::Len(Register::A) => a = frame.wire_len,
                Op::Len(Register::X) => x = frame.wire_len,
                Op::Recall(Register::A, word) => a = *memory.get(word as usize)?,
                Op::Recall(Register::X, word) => x = *memory.get(word as usize)?,
                Op::Store(Register::A, word) => *memory.get_mut(word as usize)? = a,
                Op::Store(Register::X, word) => *memory.get_mut(word as usize)? = x,
                Op::Move(Register::A) => a = x,
                Op::Move(Register::X) => x = a,
                Op::Alu(alu, operand) => a = compute(alu, a, operand.value(x))?,
                Op::Negate => a = a.wrapping_neg(),
                Op::Goto(next) => at = next as usize,
                Op::Jump(compare, operand, yes, no) => {
                    let b = operand.value(x);
                    at = branch(compare.holds(a, b), yes, no);
                }
                Op::Test(test) => {
                    let from = if test.behind_x { x.checked_add(test.at)? } else { test.at };
                    a = load(bytes, from, test.size)?;
                    let holds = test.compare.holds(a, test.with);
                    at = branch(holds, test.yes, test.no);
                }
                Op::Return(verdict) => return Some(verdict_of(verdict)),
                Op::ReturnA => return Some(verdict_of(a)),
            }
        }
    }
}

/// Where to go on. As a choice of two numbers, which the compiler would make of it, each instruction
/// had to wait for the one before; as a branch, the processor foresees it: a quarter less time.
#[inline]
fn branch(holds: bool, yes: u32, no: u32) -> usize {
    if holds { black_box(yes as usize) } else { black_box(no as usize) }
}

impl Compare {
    #[inline]
    fn holds(self, a: u32, b: u32) -> bool {
        match self {
            Self::Equal => a == b,
            Self::Above => a > b,
            Self::AtLeast => a >= b,
            Self::Bits => a & b != 0,
        }
    }
}

impl Operand {
    #[inline]
    fn value(self, x: u32) -> u32 {
        match self {
            Self::Constant(k) => k,
            Self::X => x,
        }
    }
}

fn verdict_of(value: u32) -> Verdict {
    if value == 0 { Verdict::Refused } else { Verdict::Selected }
}

#[inline]
fn load(bytes: &[u8], at: u32, size: Size) -> Option<u32> {
    let bytes = bytes.get(at as usize..)?;
    Some(match size {
        Size::Byte => (*bytes.first()?).into(),
        Size::Half => u16::from_be_bytes(*bytes.first_chunk()?).into(),
        Size::Word => u32::from_be_bytes(*bytes.first_chunk()?),
    })
}

/// The address family in front of a packet, `value` in network order, as libpcap's program expects it:
/// in this machine's byte order, or in network order with [`LinkType::Loop`], and with this machine's
/// number for IPv6.
///
/// libpcap compiles for a file whose byte order it knows, and tries the numbers that IPv6 has on all
/// systems but Linux. Here both orders are told apart by the half that is zero, and Linux's number
/// counts as well.
fn family(link: LinkType, value: u32) -> u32 {
    let is_loop = link == LinkType::Loop;
    let family = if !is_loop && value > 0xffff { value.swap_bytes() } else { value };
    let family = match family {
        24 | 28 | 30 => libc::AF_INET6.cast_unsigned(),
        other => other,
    };
    if is_loop { family } else { family.to_be() }
}

fn compute(alu: Alu, a: u32, b: u32) -> Option<u32> {
    Some(match alu {
        Alu::Add => a.wrapping_add(b),
        Alu::Sub => a.wrapping_sub(b),
        Alu::Mul => a.wrapping_mul(b),
        Alu::Div => a.checked_div(b)?,
        Alu::Mod => a.checked_rem(b)?,
        Alu::Or => a | b,
        Alu::And => a & b,
        Alu::Xor => a ^ b,
        Alu::Lsh => a.checked_shl(b).unwrap_or(0),
        Alu::Rsh => a.checked_shr(b).unwrap_or(0),
    })
}

/// Takes the instruction at `at` apart. [`compile::check`] has seen that it is known, and that its
/// jump stays inside.
fn op(at: usize, one: Classic) -> Result<Op, FilterError> {
    let strange = || FilterError::Strange { instruction: format!("{one:?} at {at}") };
    let target = |skip: u32| {
        let at = u32::try_from(at).ok();
        at.and_then(|at| at.checked_add(1)?.checked_add(skip)).ok_or_else(strange)
    };
    let operand = if one.with_x() { Operand::X } else { Operand::Constant(one.k) };
    let size = match one.size() {
        SIZE_B => Size::Byte,
        SIZE_H => Size::Half,
        _ => Size::Word,
    };
    let register = match one.class() {
        CLASS_LD | CLASS_ST => Register::A,
        _ => Register::X,
    };
    Ok(match one.class() {
        CLASS_LD | CLASS_LDX => match one.mode() {
            MODE_ABS => match one.k.checked_sub(ANCILLARY) {
                None => Op::Load(size, one.k),
                Some(PACKET_TYPE) => Op::Direction,
                Some(number) => return Err(FilterError::Ancillary { number }),
            },
            MODE_IND => Op::LoadBehindX(size, one.k),
            MODE_IMM => Op::Set(register, one.k),
            MODE_LEN => Op::Len(register),
            MODE_MEM => Op::Recall(register, one.k),
            _ => Op::LoadHeaderLen(one.k),
        },
        CLASS_ST | CLASS_STX => Op::Store(register, one.k),
        CLASS_ALU => match one.operation() {
            0x00 => Op::Alu(Alu::Add, operand),
            0x10 => Op::Alu(Alu::Sub, operand),
            0x20 => Op::Alu(Alu::Mul, operand),
            ALU_DIV => Op::Alu(Alu::Div, operand),
            0x40 => Op::Alu(Alu::Or, operand),
            0x50 => Op::Alu(Alu::And, operand),
            ALU_LSH => Op::Alu(Alu::Lsh, operand),
            ALU_RSH => Op::Alu(Alu::Rsh, operand),
            ALU_NEG => Op::Negate,
            ALU_MOD => Op::Alu(Alu::Mod, operand),
            ALU_XOR => Op::Alu(Alu::Xor, operand),
            _ => return Err(strange()),
        },
        CLASS_JMP => {
            let compare = match one.operation() {
                JMP_JA => return Ok(Op::Goto(target(one.k)?)),
                JMP_JEQ => Compare::Equal,
                JMP_JGT => Compare::Above,
                JMP_JGE => Compare::AtLeast,
                _ => Compare::Bits,
            };
            Op::Jump(compare, operand, target(one.jt.into())?, target(one.jf.into())?)
        }
        CLASS_RET if one.code & RETURN_A == 0 => Op::Return(one.k),
        CLASS_RET => Op::ReturnA,
        CLASS_MISC if one.code & MISC_TXA != 0 => Op::Move(Register::A),
        _ => Op::Move(Register::X),
    })
}

#[cfg(test)]
mod tests;
