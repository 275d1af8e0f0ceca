//! Sizes of files on the command line (`-C`).

/// Bytes that a number means by the letter behind it, as tcpdump has it: millions without one, else
/// multiples of 1024.
const UNITS: [(char, u64); 3] = [('k', 1 << 10), ('m', 1 << 20), ('g', 1 << 30)];
const MILLION: u64 = 1_000_000;

/// What was typed is no size of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a file's size is a number of millions of bytes above 0, or one with k, m or g for KiB, MiB or GiB"
)]
pub struct FileSizeError;

/// Reads a file's size in bytes: `10` is 10,000,000, `10k` is 10,240.
///
/// # Errors
/// It is none, or 0, or too large for a file.
pub fn parse_file_size(text: &str) -> Result<u64, FileSizeError> {
    let unit = UNITS.iter().find_map(|&(letter, unit)| {
        let number = text.strip_suffix([letter, letter.to_ascii_uppercase()])?;
        Some((number, unit))
    });
    let (number, unit) = unit.unwrap_or((text, MILLION));
    let number: u64 = number.parse().map_err(|_| FileSizeError)?;
    let bytes = number.checked_mul(unit).filter(|&bytes| bytes > 0).ok_or(FileSizeError)?;
    // Files' lengths are signed.
    i64::try_from(bytes).map(|_| bytes).map_err(|_| FileSizeError)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_millions_or_have_a_unit() {
        let check =
            |text, expect: Option<u64>| assert_eq!(parse_file_size(text).ok(), expect, "{text}");
        check("1", Some(1_000_000));
        check("250", Some(250_000_000));
        check("3k", Some(3 << 10));
        check("3M", Some(3 << 20));
        check("3g", Some(3 << 30));
        for text in ["", "0", "0k", "k", "-1", "1.5", "1kb", "1 k", "9223372036855", "9999999999g"]
        {
            check(text, None);
        }
        check("9223372036854", Some(9_223_372_036_854_000_000));
    }
}
