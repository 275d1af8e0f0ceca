//! libpcap's compiler: from an expression's text to classic BPF.

use pcap::{Capture, Linktype};

use super::{
    FilterError,
    classic::{
        ALU_DIV, ALU_LSH, ALU_MOD, ALU_NEG, ALU_RSH, ALU_XOR, CLASS_ALU, CLASS_JMP, CLASS_LD,
        CLASS_LDX, CLASS_MISC, CLASS_RET, CLASS_ST, CLASS_STX, Classic, JMP_JA, JMP_JSET,
        MEMORY_WORDS, MODE_ABS, MODE_IMM, MODE_IND, MODE_LEN, MODE_MEM, MODE_MSH, SIZE_B, SIZE_H,
        SIZE_W,
    },
};

/// What a packet's bytes begin with; libpcap's `DLT_EN10MB`.
pub(super) const ETHERNET: Linktype = Linktype(1);
/// An IP header; libpcap's `DLT_RAW`, which is not the number that files have for it.
pub(super) const RAW_IP: Linktype = Linktype(12);

/// What a selected packet's verdict is, when libpcap is not asked: any value but 0.
const ALL: u32 = 262_144;
/// What libpcap returns for one; it stands for the longest packet, which was shorter once.
const LIBPCAPS_ALL: u32 = 65_535;

/// Compiles an expression, in one line, for a link type; an empty one selects everything. libpcap's
/// optimizer takes long over thousands of hosts.
pub(super) fn compile(
    expression: &str,
    link: Linktype,
    optimize: bool,
) -> Result<Vec<Classic>, FilterError> {
    if expression.is_empty() {
        return Ok(vec![Classic::ret(ALL)]);
    }
    let refused = |error: pcap::Error| FilterError::Refused {
        message: message(&error),
        expression: expression.to_owned(),
    };
    let program = Capture::dead(link)
        .and_then(|handle| handle.compile(expression, optimize))
        .map_err(refused)?;
    let strange = |line: &str| FilterError::Strange { instruction: line.to_owned() };
    let mut instructions = Vec::new();
    for instruction in program.get_instructions() {
        // Their fields are private; their text has all four as numbers.
        let line = instruction.to_string();
        let mut one = read(&line).ok_or_else(|| strange(&line))?;
        if one == Classic::ret(LIBPCAPS_ALL) {
            one = Classic::ret(ALL);
        }
        instructions.push(one);
    }
    check(&instructions, expression)?;
    Ok(instructions)
}

/// libpcap's own words, on one line.
pub(crate) fn message(error: &pcap::Error) -> String {
    let text = match error {
        pcap::Error::PcapError(text) => text.clone(),
        other => other.to_string(),
    };
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn read(line: &str) -> Option<Classic> {
    let mut numbers = line.split(' ');
    let mut next = || numbers.next();
    Some(Classic {
        code: next()?.parse().ok()?,
        jt: next()?.parse().ok()?,
        jf: next()?.parse().ok()?,
        k: next()?.parse().ok()?,
    })
}

/// Checks what the translation relies on: every instruction is known, every jump goes forward and
/// stays inside.
pub(super) fn check(program: &[Classic], expression: &str) -> Result<(), FilterError> {
    for (at, &one) in program.iter().enumerate() {
        let left = program.len() - at - 1;
        let fits = |skip: u32| (skip as usize) < left;
        let inside = match one.class() {
            CLASS_RET => true,
            CLASS_JMP if one.operation() == JMP_JA && one.k.cast_signed() < 0 => {
                return Err(FilterError::Loop { expression: expression.to_owned() });
            }
            CLASS_JMP if one.operation() == JMP_JA => fits(one.k),
            CLASS_JMP => fits(one.jt.into()) && fits(one.jf.into()),
            _ => left > 0,
        };
        if !inside || !is_known(one) {
            return Err(FilterError::Strange { instruction: format!("{one:?} at {at}") });
        }
    }
    if program.is_empty() {
        return Err(FilterError::Strange { instruction: "none".to_owned() });
    }
    Ok(())
}

fn is_known(one: Classic) -> bool {
    let memory = |k: u32| k < MEMORY_WORDS;
    match one.class() {
        CLASS_LD => match one.mode() {
            MODE_ABS | MODE_IND => matches!(one.size(), SIZE_W | SIZE_H | SIZE_B),
            MODE_MEM => memory(one.k),
            MODE_IMM | MODE_LEN => true,
            _ => false,
        },
        CLASS_LDX => match one.mode() {
            MODE_MSH => one.size() == SIZE_B,
            MODE_MEM => memory(one.k),
            MODE_IMM | MODE_LEN => true,
            _ => false,
        },
        CLASS_ST | CLASS_STX => memory(one.k),
        CLASS_ALU => matches!(
            one.operation(),
            0x00 | 0x10
                | 0x20
                | ALU_DIV
                | 0x40
                | 0x50
                | ALU_LSH
                | ALU_RSH
                | ALU_NEG
                | ALU_MOD
                | ALU_XOR
        ),
        CLASS_JMP => one.operation() <= JMP_JSET,
        CLASS_RET | CLASS_MISC => true,
        _ => false,
    }
}
