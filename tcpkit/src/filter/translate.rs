//! From classic BPF to eBPF over a `__sk_buff` or an `xdp_md`.
//!
//! The result is the body of `fn(packet, egress) -> verdict`, with verdict 0 or 1. It says of every
//! packet what libpcap's own interpreter says: all arithmetic has 32 bits, and a load behind the
//! packet's end, or a division by 0, refuses the packet.

mod loads;

use self::loads::{SlowPath, may_touch_border};
use super::{
    FilterError, View,
    classic::{
        ALU_DIV, ALU_LSH, ALU_MOD, ALU_NEG, ALU_RSH, ANCILLARY, CLASS_ALU, CLASS_JMP, CLASS_LD,
        CLASS_LDX, CLASS_RET, CLASS_ST, CLASS_STX, Classic, JMP_JA, JMP_JEQ, JMP_JGE, JMP_JGT,
        MISC_TXA, MODE_ABS, MODE_IND, MODE_LEN, MODE_MEM, MODE_MSH, RETURN_A, SIZE_B, SIZE_H,
    },
    ebpf::{
        ADD, ALU32, ALU64, AND, FRAME, Insn, JA, JEQ, JLE, JLT, JMP, JMP32, JNE, LSH, MOV, R0, R1,
        R2, SUB, Size,
    },
};

/// The packet's context; helpers leave it alone, as the next three.
const CONTEXT: u8 = 6;
const A: u8 = 7;
const X: u8 = 8;
/// At TC: whether the packet goes out.
const EGRESS: u8 = 9;
/// At XDP, where packets come in only: the length of the tag that loads do not see, or 0.
const HIDDEN: u8 = 9;

/// Fields of `__sk_buff`.
const SKB_LEN: i16 = 0;
const SKB_PKT_TYPE: i16 = 4;
const SKB_MARK: i16 = 8;
const SKB_QUEUE: i16 = 12;
const SKB_PROTOCOL: i16 = 16;
const SKB_VLAN_PRESENT: i16 = 20;
const SKB_VLAN_TCI: i16 = 24;
const SKB_VLAN_PROTO: i16 = 28;
const SKB_IFINDEX: i16 = 40;
const SKB_HASH: i16 = 68;

/// Fields of `xdp_md`.
const XDP_IFINDEX: i16 = 12;
const XDP_QUEUE: i16 = 16;

/// What sockets see as the type of packets that the host sends. At TC it is not set yet.
const PACKET_OUTGOING: i32 = 4;
/// The same of those that come in for the host. At XDP nobody has looked yet.
const PACKET_HOST: i32 = 0;

const HELPER_CPU: i32 = 8;
const HELPER_XDP_LEN: i32 = 188;

/// Where scratch memory is in the frame, behind what loads use of it.
const MEMORY: i16 = -88;

/// How long a VLAN tag is.
const TAG_LEN: i32 = 4;

/// Where a jump goes, as long as that place has no number.
#[derive(Clone, Copy, Debug)]
enum Target {
    /// What a classic instruction became.
    Classic(usize),
    Refuse,
    /// A place in the result.
    Here(usize),
}

struct Translator {
    out: Vec<Insn>,
    /// Jumps to be completed.
    jumps: Vec<(usize, Target)>,
    /// Where the classic instructions begin.
    starts: Vec<usize>,
    slow: Vec<SlowPath>,
    view: View,
}

/// Translates a checked program for a hook.
pub(super) fn translate(program: &[Classic], view: View) -> Result<Vec<Insn>, FilterError> {
    let mut it = Translator {
        out: Vec::new(),
        jumps: Vec::new(),
        starts: Vec::new(),
        slow: Vec::new(),
        view,
    };
    it.begin(program);
    let reached = reached(program);
    for (at, &one) in program.iter().enumerate() {
        it.starts.push(it.out.len());
        // The verifier refuses what cannot be reached.
        if reached.get(at) == Some(&true) {
            it.instruction(at, one)?;
        }
    }
    it.slow_paths();
    it.finish()
}

/// Which instructions a packet can get to. All jumps go forward.
fn reached(program: &[Classic]) -> Vec<bool> {
    let mut reached = vec![false; program.len()];
    if let Some(first) = reached.first_mut() {
        *first = true;
    }
    for (at, &one) in program.iter().enumerate() {
        if reached.get(at) != Some(&true) {
            continue;
        }
        let next = at + 1;
        let targets = match one.class() {
            CLASS_RET => [None, None],
            CLASS_JMP if one.operation() == JMP_JA => [Some(next + one.k as usize), None],
            CLASS_JMP => [Some(next + usize::from(one.jt)), Some(next + usize::from(one.jf))],
            _ => [Some(next), None],
        };
        for target in targets.into_iter().flatten() {
            if let Some(target) = reached.get_mut(target) {
                *target = true;
            }
        }
    }
    reached
}

impl Translator {
    fn push(&mut self, insn: Insn) {
        self.out.push(insn);
    }

    fn jump(&mut self, insn: Insn, target: Target) {
        self.jumps.push((self.out.len(), target));
        self.out.push(insn);
    }

    /// A jump whose target [`Self::land`] sets.
    fn leap(&mut self, insn: Insn) -> usize {
        self.out.push(insn);
        self.out.len() - 1
    }

    /// Lets an earlier jump end here.
    fn land(&mut self, from: usize) {
        self.jumps.push((from, Target::Here(self.out.len())));
    }

    fn refuse_if(&mut self, insn: Insn) {
        self.jump(insn, Target::Refuse);
    }

    fn goto(&mut self, target: Target) {
        self.jump(Insn::constant(JMP, JA, 0, 0), target);
    }

    /// Registers and memory that classic programs find ready.
    fn begin(&mut self, program: &[Classic]) {
        self.push(Insn::register(ALU64, MOV, CONTEXT, R1));
        match self.view {
            View::Tc | View::TcTagged => self.push(Insn::register(ALU64, MOV, EGRESS, R2)),
            View::Xdp => {}
            View::XdpUntagged => {
                if program.iter().any(|&one| reads_packet(one)) {
                    self.find_hidden();
                }
            }
        }
        self.push(Insn::constant(ALU32, MOV, A, 0));
        self.push(Insn::constant(ALU32, MOV, X, 0));
        let mut words: Vec<u32> = program.iter().filter_map(|one| one.memory_word()).collect();
        words.sort_unstable();
        words.dedup();
        for word in words {
            self.push(Insn::store_zero(FRAME, memory(word)));
        }
        match self.view {
            View::Tc | View::Xdp => {}
            View::TcTagged => self.build_window(),
            View::XdpUntagged => {
                if program.iter().any(|&one| may_touch_border(one)) {
                    self.build_window_without();
                }
            }
        }
    }

    fn instruction(&mut self, at: usize, one: Classic) -> Result<(), FilterError> {
        match one.class() {
            CLASS_LD => self.load_a(one)?,
            CLASS_LDX => match one.mode() {
                MODE_MSH => {
                    self.load_packet(Size::Byte, one.k, false, X);
                    self.push(Insn::constant(ALU32, AND, X, 0x0f));
                    self.push(Insn::constant(ALU32, LSH, X, 2));
                }
                MODE_LEN => self.load_len(X),
                MODE_MEM => self.push(Insn::load(Size::Word, X, FRAME, memory(one.k))),
                _ => self.push(Insn::constant(ALU32, MOV, X, one.k.cast_signed())),
            },
            CLASS_ST => self.push(Insn::store(Size::Word, FRAME, memory(one.k), A)),
            CLASS_STX => self.push(Insn::store(Size::Word, FRAME, memory(one.k), X)),
            CLASS_ALU => self.arithmetic(one),
            CLASS_JMP => self.jumps(at, one),
            CLASS_RET if one.code & RETURN_A != 0 => {
                self.push(Insn::constant(ALU32, MOV, R0, 0));
                let zero = self.leap(Insn::constant(JMP32, JEQ, A, 0));
                self.push(Insn::constant(ALU32, MOV, R0, 1));
                self.land(zero);
                self.push(Insn::exit());
            }
            CLASS_RET => {
                self.push(Insn::constant(ALU32, MOV, R0, i32::from(one.k != 0)));
                self.push(Insn::exit());
            }
            _ if one.code & MISC_TXA != 0 => self.push(Insn::register(ALU32, MOV, A, X)),
            _ => self.push(Insn::register(ALU32, MOV, X, A)),
        }
        Ok(())
    }

    fn load_a(&mut self, one: Classic) -> Result<(), FilterError> {
        let size = match one.size() {
            SIZE_H => Size::Half,
            SIZE_B => Size::Byte,
            _ => Size::Word,
        };
        match one.mode() {
            MODE_ABS => match one.k.checked_sub(ANCILLARY) {
                Some(what) => self.ancillary(what)?,
                None => self.load_packet(size, one.k, false, A),
            },
            MODE_IND => self.load_packet(size, one.k, true, A),
            MODE_LEN => self.load_len(A),
            MODE_MEM => self.push(Insn::load(Size::Word, A, FRAME, memory(one.k))),
            _ => self.push(Insn::constant(ALU32, MOV, A, one.k.cast_signed())),
        }
        Ok(())
    }

    /// What the kernel knows of a packet beside its bytes.
    fn ancillary(&mut self, what: u32) -> Result<(), FilterError> {
        let field = match (what, self.view.is_xdp()) {
            (4, true) => {
                self.push(Insn::constant(ALU32, MOV, A, PACKET_HOST));
                return Ok(());
            }
            (8, true) => XDP_IFINDEX,
            (24, true) => XDP_QUEUE,
            (36, _) => {
                self.push(Insn::call(HELPER_CPU));
                self.push(Insn::register(ALU32, MOV, A, R0));
                return Ok(());
            }
            (0, false) => SKB_PROTOCOL,
            (4, false) => SKB_PKT_TYPE,
            (8, false) => SKB_IFINDEX,
            (20, false) => SKB_MARK,
            (24, false) => SKB_QUEUE,
            (32, false) => SKB_HASH,
            (44, false) => SKB_VLAN_TCI,
            (48, false) => SKB_VLAN_PRESENT,
            (60, false) => SKB_VLAN_PROTO,
            _ => return Err(FilterError::Ancillary { number: what }),
        };
        self.push(Insn::load(Size::Word, A, CONTEXT, field));
        if matches!(what, 0 | 60) {
            self.push(Insn::to_be(A, Size::Half));
        }
        if what == 4 {
            let comes_in = self.leap(Insn::constant(JMP32, JEQ, EGRESS, 0));
            self.push(Insn::constant(ALU32, MOV, A, PACKET_OUTGOING));
            self.land(comes_in);
        }
        Ok(())
    }

    fn load_len(&mut self, to: u8) {
        if self.view.is_xdp() {
            self.push(Insn::register(ALU64, MOV, R1, CONTEXT));
            self.push(Insn::call(HELPER_XDP_LEN));
            self.push(Insn::register(ALU32, MOV, to, R0));
        } else {
            self.push(Insn::load(Size::Word, to, CONTEXT, SKB_LEN));
        }
        match self.view {
            View::Tc | View::Xdp => {}
            View::TcTagged => {
                let untagged = self.unless_moved();
                self.push(Insn::constant(ALU32, ADD, to, TAG_LEN));
                self.land(untagged);
            }
            View::XdpUntagged => self.push(Insn::register(ALU32, SUB, to, HIDDEN)),
        }
    }

    fn arithmetic(&mut self, one: Classic) {
        // The numbers of the operations are the same in both instruction sets.
        let operation = one.operation() as u8;
        let k = one.k.cast_signed();
        match one.operation() {
            ALU_NEG => self.push(Insn::constant(ALU32, operation, A, 0)),
            ALU_DIV | ALU_MOD if one.with_x() => {
                self.refuse_if(Insn::constant(JMP32, JEQ, X, 0));
                self.push(Insn::register(ALU32, operation, A, X));
            }
            ALU_DIV | ALU_MOD if k == 0 => {
                self.never_there(A);
            }
            ALU_LSH | ALU_RSH if one.with_x() => {
                // The processor would take the lowest five bits of X.
                let short = self.leap(Insn::constant(JMP32, JLT, X, 32));
                self.push(Insn::constant(ALU32, MOV, A, 0));
                self.land(short);
                self.push(Insn::register(ALU32, operation, A, X));
            }
            ALU_LSH | ALU_RSH if one.k >= 32 => self.push(Insn::constant(ALU32, MOV, A, 0)),
            _ if one.with_x() => self.push(Insn::register(ALU32, operation, A, X)),
            _ => self.push(Insn::constant(ALU32, operation, A, k)),
        }
    }

    fn jumps(&mut self, at: usize, one: Classic) {
        let target = |skip: usize| Target::Classic(at + 1 + skip);
        let (jt, jf) = (usize::from(one.jt), usize::from(one.jf));
        if one.operation() == JMP_JA {
            return self.goto(target(one.k as usize));
        }
        if jt == jf {
            return self.goto(target(jt));
        }
        let compare = |operation: u8| match one.with_x() {
            true => Insn::register(JMP32, operation, A, X),
            false => Insn::constant(JMP32, operation, A, one.k.cast_signed()),
        };
        let opposite = match one.operation() {
            JMP_JEQ => Some(JNE),
            JMP_JGT => Some(JLE),
            JMP_JGE => Some(JLT),
            _ => None,
        };
        match opposite {
            Some(opposite) if jt == 0 => self.jump(compare(opposite), target(jf)),
            _ => {
                self.jump(compare(one.operation() as u8), target(jt));
                if jf != 0 {
                    self.goto(target(jf));
                }
            }
        }
    }

    /// Completes the jumps.
    fn finish(mut self) -> Result<Vec<Insn>, FilterError> {
        let refuse = self.out.len();
        if self.jumps.iter().any(|(_, target)| matches!(target, Target::Refuse)) {
            self.push(Insn::constant(ALU32, MOV, R0, 0));
            self.push(Insn::exit());
        }
        let too_long = FilterError::TooLong { needed: self.out.len() };
        for (from, target) in &self.jumps {
            let to = match *target {
                Target::Classic(at) => self.starts.get(at).copied().unwrap_or(refuse),
                Target::Refuse => refuse,
                Target::Here(at) => at,
            };
            let offset = to as i64 - *from as i64 - 1;
            let Ok(offset) = i16::try_from(offset) else { return Err(too_long) };
            if let Some(insn) = self.out.get_mut(*from) {
                *insn = insn.at(offset);
            }
        }
        Ok(self.out)
    }
}

/// Whether a load reads the packet's bytes or its length.
fn reads_packet(one: Classic) -> bool {
    matches!(one.class(), CLASS_LD | CLASS_LDX)
        && matches!(one.mode(), MODE_ABS | MODE_IND | MODE_MSH | MODE_LEN)
}

fn memory(word: u32) -> i16 {
    MEMORY + 4 * i16::try_from(word).unwrap_or(0)
}
