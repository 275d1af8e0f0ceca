//! How a translated program reads the packet's bytes.
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
    CONTEXT, HIDDEN, SKB_LEN, SKB_VLAN_PRESENT, SKB_VLAN_PROTO, SKB_VLAN_TCI, TAG_LEN, Target,
    Translator, X,
};
use crate::filter::{
    View,
    classic::{CLASS_LD, CLASS_LDX, Classic, MODE_ABS, MODE_IND},
    ebpf::{
        ADD, ALU32, ALU64, FRAME, Insn, JEQ, JGE, JGT, JLE, JLT, JMP, JMP32, JNE, LSH, MOV, OR, R0,
        R1, R2, R3, R4, Size,
    },
};

/// Where `__sk_buff` says where the linear part begins and ends.
const SKB_DATA: i16 = 76;
const SKB_DATA_END: i16 = 80;
/// The same in `xdp_md`.
const XDP_DATA: i16 = 0;
const XDP_DATA_END: i16 = 4;

const HELPER_SKB_LOAD_BYTES: i32 = 26;
const HELPER_XDP_LOAD_BYTES: i32 = 189;

/// The frame's parts: bytes from a helper; the twelve bytes around a tag.
const BUFFER: i16 = -8;
const WINDOW: i16 = -24;

/// Where a tag stands in a frame, and where the window begins.
const TAG_START: i32 = 12;
const TAG_END: i32 = TAG_START + TAG_LEN;
const WINDOW_START: i32 = 8;

/// The kinds of tags that the kernel takes off.
const TAG_KINDS: [i32; 2] = [0x8100, 0x88a8];

/// The last four bytes of the shortest frame whose tag the kernel takes off; it drops shorter ones.
const SHORTEST_TAGGED_END: i32 = 16;

/// Direct access reaches up to here: the verifier follows no further than 64 KiB.
const DIRECT_LIMIT: i32 = 0x7ff0;

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
pub(super) struct SlowPath {
    jumps: Vec<usize>,
    place: Place,
    size: Size,
    to: u8,
    back: usize,
}

impl Translator {
    /// Sets [`HIDDEN`]: whether a frame has a tag that at TC would not be among the bytes.
    pub(super) fn find_hidden(&mut self) {
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
    pub(super) fn build_window(&mut self) {
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
    pub(super) fn build_window_without(&mut self) {
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
    pub(super) fn unless_moved(&mut self) -> usize {
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

    /// Loads from the packet at `k`, or at X plus `k`, in network order.
    pub(super) fn load_packet(&mut self, size: Size, k: u32, indirect: bool, to: u8) {
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
    pub(super) fn never_there(&mut self, to: u8) {
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

    pub(super) fn slow_paths(&mut self) {
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
}

/// Whether a load may read from both sides of a tag that it does not see.
pub(super) fn may_touch_border(one: Classic) -> bool {
    matches!(one.class(), CLASS_LD | CLASS_LDX)
        && match one.mode() {
            MODE_ABS => (9..12).contains(&one.k),
            MODE_IND => true,
            _ => false,
        }
}
