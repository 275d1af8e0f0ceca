//! From classic BPF to eBPF over a `__sk_buff` or an `xdp_md`.
//!
//! The result is the body of `fn(packet, egress) -> verdict`, with verdict 0 or 1. It says of every
//! packet what libpcap's own interpreter says: all arithmetic has 32 bits, and a load behind the
//! packet's end, or a division by 0, refuses the packet.
//!
//! A load reads the packet directly where it is linear. Where it is not, a helper copies the bytes;
//! these slow paths stand behind the program, out of the way. The place of the packet is asked anew
//! for each load: that keeps no knowledge over joins, so the verifier's work grows with the length of
//! the program only.
//!
//! The outer VLAN tag stands beside the bytes at TC and among them at XDP. Where the expression wants
//! it the other way, loads are moved by its length from the tag on, and those that touch the border
//! read from a window: the few bytes around it, put together on the stack.

use super::{
    FilterError, View,
    classic::{
        ALU_DIV, ALU_LSH, ALU_MOD, ALU_NEG, ALU_RSH, ANCILLARY, CLASS_ALU, CLASS_JMP, CLASS_LD,
        CLASS_LDX, CLASS_RET, CLASS_ST, CLASS_STX, Classic, JMP_JA, JMP_JEQ, JMP_JGE, JMP_JGT,
        MISC_TXA, MODE_ABS, MODE_IND, MODE_LEN, MODE_MEM, MODE_MSH, RETURN_A, SIZE_B, SIZE_H,
    },
    ebpf::{
        ADD, ALU32, ALU64, AND, FRAME, Insn, JA, JEQ, JGE, JGT, JLE, JLT, JMP, JMP32, JNE, LSH,
        MOV, OR, R0, R1, R2, R3, R4, SUB, Size,
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
const SKB_DATA: i16 = 76;
const SKB_DATA_END: i16 = 80;

/// Fields of `xdp_md`.
const XDP_DATA: i16 = 0;
const XDP_DATA_END: i16 = 4;
const XDP_IFINDEX: i16 = 12;
const XDP_QUEUE: i16 = 16;

/// What sockets see as the type of packets that the host sends. At TC it is not set yet.
const PACKET_OUTGOING: i32 = 4;
/// The same of those that come in for the host. At XDP nobody has looked yet.
const PACKET_HOST: i32 = 0;

const HELPER_CPU: i32 = 8;
const HELPER_SKB_LOAD_BYTES: i32 = 26;
const HELPER_XDP_LEN: i32 = 188;
const HELPER_XDP_LOAD_BYTES: i32 = 189;

/// The frame's parts: bytes from a helper; the twelve bytes around a tag; scratch memory.
const BUFFER: i16 = -8;
const WINDOW: i16 = -24;
const MEMORY: i16 = -88;

/// Where a tag stands in a frame, and where the window begins.
const TAG_START: i32 = 12;
const TAG_LEN: i32 = 4;
const TAG_END: i32 = TAG_START + TAG_LEN;
const WINDOW_START: i32 = 8;

/// The kinds of tags that the kernel takes off.
const TAG_KINDS: [i32; 2] = [0x8100, 0x88a8];

/// The last four bytes of the shortest frame whose tag the kernel takes off; it drops shorter ones.
const SHORTEST_TAGGED_END: i32 = 16;

/// Direct access reaches up to here: the verifier follows no further than 64 KiB.
const DIRECT_LIMIT: i32 = 0x7ff0;

/// Where a jump goes, as long as that place has no number.
#[derive(Clone, Copy, Debug)]
enum Target {
    /// What a classic instruction became.
    Classic(usize),
    Refuse,
    /// A place in the result.
    Here(usize),
}

/// Where the bytes of a load are.
#[derive(Clone, Copy)]
enum Place {
    At(i32),
    /// So far behind the bytes that loads do not see.
    BehindHidden(i32),
    /// In a register, R2, which is not above 2^33.
    InR2,
}

/// The rest of a load that found its bytes not to be linear.
struct SlowPath {
    jumps: Vec<usize>,
    place: Place,
    size: Size,
    to: u8,
    back: usize,
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

    /// Sets [`HIDDEN`]: whether a frame has a tag that at TC would not be among the bytes.
    fn find_hidden(&mut self) {
        self.push(Insn::constant(ALU64, MOV, HIDDEN, 0));
        self.load_linear(R1, R2);
        self.push(Insn::register(ALU64, MOV, R3, R1));
        self.push(Insn::constant(ALU64, ADD, R3, SHORTEST_TAGGED_END + 4));
        let not_linear = self.leap(Insn::register(JMP, JGT, R3, R2));
        // 12 fits.
        self.push(Insn::load(Size::Half, R1, R1, TAG_START as i16));
        let linear = self.leap(Insn::NOP);
        self.land(not_linear);
        self.push(Insn::constant(ALU32, MOV, R2, SHORTEST_TAGGED_END));
        self.helper_load(BUFFER, 4);
        let short = self.leap(Insn::constant(JMP, JNE, R0, 0));
        self.push(Insn::constant(ALU32, MOV, R2, TAG_START));
        self.helper_load(BUFFER, 4);
        let broken = self.leap(Insn::constant(JMP, JNE, R0, 0));
        self.push(Insn::load(Size::Half, R1, FRAME, BUFFER));
        self.land(linear);
        self.push(Insn::to_be(R1, Size::Half));
        let [one, other] = TAG_KINDS;
        let is_tag = self.leap(Insn::constant(JMP32, JEQ, R1, one));
        let is_none = self.leap(Insn::constant(JMP32, JNE, R1, other));
        self.land(is_tag);
        self.push(Insn::constant(ALU64, MOV, HIDDEN, TAG_LEN));
        for jump in [short, broken, is_none] {
            self.land(jump);
        }
    }

    /// Builds what a frame with its tag has from [`WINDOW_START`] on: the end of the addresses, the
    /// tag, the EtherType behind it, two bytes more.
    fn build_window(&mut self) {
        for word in [0, 4, 8] {
            self.push(Insn::store_zero(FRAME, WINDOW + word));
        }
        let untagged = self.unless_moved();
        for (from, to) in [(WINDOW_START, WINDOW), (TAG_START, WINDOW + 8)] {
            // Where bytes are missing the window keeps zeroes, and loads look at the length.
            self.push(Insn::constant(ALU32, MOV, R2, from));
            self.helper_load(to, 4);
        }
        // Its kind is in network order already.
        self.push(Insn::load(Size::Word, R1, CONTEXT, SKB_VLAN_PROTO));
        self.push(Insn::store(Size::Half, FRAME, WINDOW + 4, R1));
        self.push(Insn::load(Size::Word, R1, CONTEXT, SKB_VLAN_TCI));
        self.push(Insn::to_be(R1, Size::Half));
        self.push(Insn::store(Size::Half, FRAME, WINDOW + 6, R1));
        self.land(untagged);
    }

    /// Builds what a frame without its tag has from [`WINDOW_START`] on: the end of the addresses and
    /// four bytes more. All are there, or the tag would not be hidden.
    fn build_window_without(&mut self) {
        for word in [0, 4] {
            self.push(Insn::store_zero(FRAME, WINDOW + word));
        }
        let untagged = self.unless_moved();
        for (from, to) in [(WINDOW_START, WINDOW), (TAG_END, WINDOW + 4)] {
            self.push(Insn::constant(ALU32, MOV, R2, from));
            self.helper_load(to, 4);
        }
        self.land(untagged);
    }

    /// A jump for packets in which every load is where the bytes are.
    fn unless_moved(&mut self) -> usize {
        if self.view.is_xdp() {
            return self.leap(Insn::constant(JMP32, JEQ, HIDDEN, 0));
        }
        self.push(Insn::load(Size::Word, R1, CONTEXT, SKB_VLAN_PRESENT));
        self.leap(Insn::constant(JMP32, JEQ, R1, 0))
    }

    /// Copies bytes from the offset in R2 to the frame; R0 tells whether they are there.
    fn helper_load(&mut self, to: i16, len: i32) {
        self.push(Insn::register(ALU64, MOV, R1, CONTEXT));
        self.push(Insn::register(ALU64, MOV, R3, FRAME));
        self.push(Insn::constant(ALU64, ADD, R3, to.into()));
        self.push(Insn::constant(ALU32, MOV, R4, len));
        let xdp = self.view.is_xdp();
        self.push(Insn::call(if xdp { HELPER_XDP_LOAD_BYTES } else { HELPER_SKB_LOAD_BYTES }));
    }

    /// Loads where the linear part begins and ends.
    fn load_linear(&mut self, data: u8, end: u8) {
        let (from, to) = match self.view.is_xdp() {
            true => (XDP_DATA, XDP_DATA_END),
            false => (SKB_DATA, SKB_DATA_END),
        };
        self.push(Insn::load(Size::Word, data, CONTEXT, from));
        self.push(Insn::load(Size::Word, end, CONTEXT, to));
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

    /// Loads from the packet at `k`, or at X plus `k`, in network order.
    fn load_packet(&mut self, size: Size, k: u32, indirect: bool, to: u8) {
        // No packet is that long, and the sum with X must not start again at 0.
        let Ok(k) = i32::try_from(k) else { return self.never_there(to) };
        let moved = match self.view {
            View::Tc | View::Xdp => Some(false),
            View::XdpUntagged if k >= TAG_START => Some(true),
            View::XdpUntagged if k <= TAG_START - size.bytes() => Some(false),
            View::XdpUntagged | View::TcTagged => None,
        };
        match moved {
            Some(moved) if !indirect && k < DIRECT_LIMIT => self.load_at(k, moved, size, to),
            _ => {
                self.address(k, indirect);
                self.load_at_r2(size, to);
            }
        }
    }

    /// A load from a known place, behind what is hidden when it is `moved`.
    fn load_at(&mut self, k: i32, moved: bool, size: Size, to: u8) {
        self.load_linear(R1, R2);
        if moved {
            self.push(Insn::register(ALU64, ADD, R1, HIDDEN));
        }
        self.push(Insn::register(ALU64, MOV, R3, R1));
        self.push(Insn::constant(ALU64, ADD, R3, k + size.bytes()));
        let beyond = self.leap(Insn::register(JMP, JGT, R3, R2));
        // Below the limit it fits.
        self.push(Insn::load(size, to, R1, i16::try_from(k).unwrap_or(0)));
        let place = if moved { Place::BehindHidden(k) } else { Place::At(k) };
        self.loaded(vec![beyond], place, size, to);
    }

    fn address(&mut self, k: i32, indirect: bool) {
        if indirect {
            self.push(Insn::register(ALU64, MOV, R2, X));
            self.push(Insn::constant(ALU64, ADD, R2, k));
        } else {
            self.push(Insn::constant(ALU64, MOV, R2, k));
        }
    }

    /// What refuses every packet: a load from 2 GiB or further, a division by the constant 0.
    fn never_there(&mut self, to: u8) {
        self.push(Insn::constant(ALU32, MOV, to, 0));
        // Always so, but as a condition: the verifier wants a way to what follows.
        self.refuse_if(Insn::constant(JMP32, JEQ, to, 0));
    }

    fn load_at_r2(&mut self, size: Size, to: u8) {
        // The border, and how far what is behind it stands from where the program looks.
        let moved = match self.view {
            View::Tc | View::Xdp => None,
            View::TcTagged => Some((TAG_END, -TAG_LEN)),
            View::XdpUntagged => Some((TAG_START, TAG_LEN)),
        };
        let mut in_window = None;
        if let Some((border, distance)) = moved {
            let unmoved = self.unless_moved();
            let in_front = self.leap(Insn::constant(JMP, JLE, R2, TAG_START - size.bytes()));
            if size != Size::Byte || border > TAG_START {
                let behind = self.leap(Insn::constant(JMP, JGE, R2, border));
                self.load_from_window(size, to);
                in_window = Some(self.leap(Insn::NOP));
                self.land(behind);
            }
            self.push(Insn::constant(ALU64, ADD, R2, distance));
            self.land(unmoved);
            self.land(in_front);
        }
        let far = self.leap(Insn::constant(JMP, JGT, R2, DIRECT_LIMIT));
        self.load_linear(R1, R3);
        self.push(Insn::register(ALU64, ADD, R1, R2));
        self.push(Insn::register(ALU64, MOV, R4, R1));
        self.push(Insn::constant(ALU64, ADD, R4, size.bytes()));
        let beyond = self.leap(Insn::register(JMP, JGT, R4, R3));
        self.push(Insn::load(size, to, R1, 0));
        self.loaded(vec![far, beyond], Place::InR2, size, to);
        if let Some(jump) = in_window {
            self.land(jump);
        }
    }

    /// A load that touches the border between bytes that are not beside each other in the packet.
    fn load_from_window(&mut self, size: Size, to: u8) {
        // At XDP all of the window is there.
        if !self.view.is_xdp() {
            self.push(Insn::load(Size::Word, R1, CONTEXT, SKB_LEN));
            self.push(Insn::constant(ALU64, ADD, R1, TAG_LEN));
            self.push(Insn::register(ALU64, MOV, R3, R2));
            self.push(Insn::constant(ALU64, ADD, R3, size.bytes()));
            self.refuse_if(Insn::register(JMP, JGT, R3, R1));
        }
        // Never so: for the verifier, which does not see that the end was behind the tag's start.
        self.refuse_if(Insn::constant(JMP, JLT, R2, WINDOW_START));
        self.push(Insn::register(ALU64, MOV, R1, FRAME));
        self.push(Insn::register(ALU64, ADD, R1, R2));
        self.push(Insn::constant(ALU64, ADD, R1, i32::from(WINDOW) - WINDOW_START));
        self.push(Insn::constant(ALU32, MOV, to, 0));
        for at in [0, 1, 2, 3] {
            if i32::from(at) < size.bytes() {
                self.push(Insn::constant(ALU32, LSH, to, 8));
                self.push(Insn::load(Size::Byte, R3, R1, at));
                self.push(Insn::register(ALU32, OR, to, R3));
            }
        }
    }

    /// Ends a load: here the slow path comes back, and the bytes are put in order.
    fn loaded(&mut self, jumps: Vec<usize>, place: Place, size: Size, to: u8) {
        self.slow.push(SlowPath { jumps, place, size, to, back: self.out.len() });
        if size != Size::Byte {
            self.push(Insn::to_be(to, size));
        }
    }

    fn slow_paths(&mut self) {
        for path in std::mem::take(&mut self.slow) {
            for jump in path.jumps {
                self.land(jump);
            }
            match path.place {
                Place::At(k) => self.push(Insn::constant(ALU32, MOV, R2, k)),
                Place::BehindHidden(k) => {
                    self.push(Insn::register(ALU32, MOV, R2, HIDDEN));
                    self.push(Insn::constant(ALU32, ADD, R2, k));
                }
                // The helper would take the lower half only.
                Place::InR2 => self.refuse_if(Insn::constant(JMP, JGT, R2, i32::MAX)),
            }
            self.helper_load(BUFFER, path.size.bytes());
            self.refuse_if(Insn::constant(JMP, JNE, R0, 0));
            self.push(Insn::load(path.size, path.to, FRAME, BUFFER));
            self.goto(Target::Here(path.back));
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

/// Whether a load may read from both sides of a tag that it does not see.
fn may_touch_border(one: Classic) -> bool {
    matches!(one.class(), CLASS_LD | CLASS_LDX)
        && match one.mode() {
            MODE_ABS => (9..12).contains(&one.k),
            MODE_IND => true,
            _ => false,
        }
}

fn memory(word: u32) -> i16 {
    MEMORY + 4 * i16::try_from(word).unwrap_or(0)
}
