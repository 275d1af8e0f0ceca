//! Just enough of Rust's grammar to tell code from comments and literals.

/// A piece of code and the line it begins in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// An identifier, a keyword or a number.
    Word(usize, String),
    /// What stands between the quotes of a string.
    Literal(usize, String),
    /// Any other character that is not white.
    Sign(usize, char),
}

impl Token {
    fn word(&self) -> Option<(usize, &str)> {
        match self {
            Self::Word(line, word) => Some((*line, word)),
            _ => None,
        }
    }

    fn is_sign(&self, expected: char) -> bool {
        matches!(self, Self::Sign(_, sign) if *sign == expected)
    }

    fn is_word(&self, expected: &str) -> bool {
        matches!(self, Self::Word(_, word) if word == expected)
    }
}

/// A file's code.
pub(super) struct Source {
    pub(super) tokens: Vec<Token>,
}

impl Source {
    /// The code above `#[cfg(test)] mod`, without comments.
    pub(super) fn without_tests(text: &str) -> Self {
        let mut tokens = Scanner { rest: text, line: 1 }.tokens();
        let begin = (0..tokens.len()).find(|at| tokens.get(*at..).is_some_and(opens_tests));
        tokens.truncate(begin.unwrap_or(usize::MAX));
        Self { tokens }
    }

    /// All words, with their lines.
    pub(super) fn words(&self) -> impl Iterator<Item = (usize, &str)> {
        self.tokens.iter().filter_map(Token::word)
    }

    /// The agent's rooms that are named: what stands right behind `crate::`, alone or in braces.
    pub(super) fn rooms_named(&self) -> Vec<(usize, &str)> {
        let mut rooms = Vec::new();
        for (at, window) in self.tokens.windows(4).enumerate() {
            let [start, colon, another, first] = window else { continue };
            if !(start.is_word("crate") && colon.is_sign(':') && another.is_sign(':')) {
                continue;
            }
            rooms.extend(first.word());
            if first.is_sign('{') {
                rooms.extend(group_heads(self.tokens.get(at + 4..).unwrap_or_default()));
            }
        }
        rooms
    }

    /// The name under which a protocol is registered in this file: `Protocol { name: "…"`.
    pub(super) fn registered_name(&self) -> Option<&str> {
        self.tokens.windows(5).find_map(|window| match window {
            [kind, open, field, colon, Token::Literal(_, name)]
                if kind.is_word("Protocol")
                    && open.is_sign('{')
                    && field.is_word("name")
                    && colon.is_sign(':') =>
            {
                Some(name.as_str())
            }
            _ => None,
        })
    }
}

/// Whether `#[cfg(test)] mod` stands here, with or without a visibility.
fn opens_tests(tokens: &[Token]) -> bool {
    const ATTRIBUTE: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
    let Some((attribute, behind)) = tokens.split_at_checked(ATTRIBUTE.len()) else { return false };
    let is_attribute = attribute.iter().zip(ATTRIBUTE).all(|(token, expected)| match token {
        Token::Word(_, word) => word == expected,
        Token::Sign(_, sign) => expected.chars().eq([*sign]),
        Token::Literal(..) => false,
    });
    let item = match behind {
        [public, open, rest @ ..] if public.is_word("pub") && open.is_sign('(') => {
            let visibility = rest.iter().position(|token| token.is_sign(')'));
            rest.get(visibility.map_or(0, |end| end + 1)..).unwrap_or_default()
        }
        [public, rest @ ..] if public.is_word("pub") => rest,
        _ => behind,
    };
    is_attribute && item.first().is_some_and(|token| token.is_word("mod"))
}

/// The first word of each item up to the closing brace of an import's group.
fn group_heads(tokens: &[Token]) -> Vec<(usize, &str)> {
    let mut heads = Vec::new();
    let mut depth = 0_usize;
    let mut at_head = true;
    for token in tokens {
        match token {
            Token::Sign(_, '{') => depth += 1,
            Token::Sign(_, '}') if depth == 0 => break,
            Token::Sign(_, '}') => depth -= 1,
            Token::Sign(_, ',') if depth == 0 => {
                at_head = true;
                continue;
            }
            Token::Word(line, word) if at_head => heads.push((*line, word.as_str())),
            _ => {}
        }
        at_head = false;
    }
    heads
}

struct Scanner<'a> {
    rest: &'a str,
    line: usize,
}

impl Scanner<'_> {
    fn tokens(mut self) -> Vec<Token> {
        let mut tokens = Vec::new();
        while let Some(next) = self.rest.chars().next() {
            let line = self.line;
            if self.rest.starts_with("//") {
                self.take_until("\n");
            } else if self.rest.starts_with("/*") {
                self.skip_block_comment();
            } else if let Some(literal) = self.raw_string().or_else(|| self.string()) {
                tokens.push(Token::Literal(line, literal));
            } else if next == '\'' {
                self.skip_character();
            } else if is_word(next) {
                tokens.push(Token::Word(line, self.take_while(is_word)));
            } else {
                self.bump();
                if !next.is_whitespace() {
                    tokens.push(Token::Sign(line, next));
                }
            }
        }
        tokens
    }

    fn bump(&mut self) -> Option<char> {
        let mut characters = self.rest.chars();
        let first = characters.next()?;
        self.rest = characters.as_str();
        self.line += usize::from(first == '\n');
        Some(first)
    }

    fn take_while(&mut self, accept: fn(char) -> bool) -> String {
        let mut taken = String::new();
        while self.rest.starts_with(accept) {
            taken.extend(self.bump());
        }
        taken
    }

    /// Takes up to and over `end`; returns what stands before it.
    fn take_until(&mut self, end: &str) -> String {
        let mut taken = String::new();
        while !self.rest.is_empty() && !self.rest.starts_with(end) {
            taken.extend(self.bump());
        }
        for _ in end.chars() {
            self.bump();
        }
        taken
    }

    fn skip_block_comment(&mut self) {
        let mut depth = 0_usize;
        while !self.rest.is_empty() {
            let opens = self.rest.starts_with("/*");
            let closes = self.rest.starts_with("*/");
            self.bump();
            if opens || closes {
                self.bump();
            }
            depth = if opens { depth + 1 } else { depth - usize::from(closes) };
            if depth == 0 {
                return;
            }
        }
    }

    /// `r"…"`, `br#"…"#` and the like.
    fn raw_string(&mut self) -> Option<String> {
        let behind = self.rest.trim_start_matches(['b', 'c']).strip_prefix('r')?;
        if self.rest.len() - behind.len() > 2 {
            return None;
        }
        let quoted = behind.trim_start_matches('#').strip_prefix('"')?;
        let hashes = behind.len() - quoted.len() - 1;
        while self.rest.len() > quoted.len() {
            self.bump();
        }
        Some(self.take_until(&format!("\"{}", "#".repeat(hashes))))
    }

    /// `"…"`; the letter of `b"…"` is a word of its own, which does no harm.
    fn string(&mut self) -> Option<String> {
        if !self.rest.starts_with('"') {
            return None;
        }
        self.bump();
        let mut literal = String::new();
        loop {
            match self.bump() {
                None | Some('"') => return Some(literal),
                Some('\\') => {
                    self.bump();
                    literal.push(' ');
                }
                Some(other) => literal.push(other),
            }
        }
    }

    /// A character in quotes, or a lifetime's apostrophe.
    fn skip_character(&mut self) {
        self.bump();
        let mut ahead = self.rest.chars();
        match (ahead.next(), ahead.next()) {
            (Some('\\'), Some(_)) => {
                self.bump();
                self.bump();
                self.take_until("'");
            }
            (Some(_), Some('\'')) => {
                self.bump();
                self.bump();
            }
            _ => {}
        }
    }
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expect: &[&str]) {
        let source = Source::without_tests(text);
        let words: Vec<_> = source.words().map(|(_, word)| word).collect();
        assert_eq!(words, expect, "{text}");
    }

    #[test]
    fn comments_and_literals_are_no_words() {
        check("a // b\nc /* d /* e */ f */ g", &["a", "c", "g"]);
        check(r#"a("b // c", d)"#, &["a", "d"]);
        check(r##"a(r#"b " c"#, d)"##, &["a", "d"]);
        check(r#"a("\"b", c)"#, &["a", "c"]);
        check(r"a('b', '\'', '\u{1f}', c)", &["a", "c"]);
        check("fn a<'b>(c: &'b str)", &["fn", "a", "b", "c", "b", "str"]);
        check("for r in list", &["for", "r", "in", "list"]);
    }

    #[test]
    fn words_know_their_lines() {
        let source = Source::without_tests("a\n/* x\n y */ b\n\"1\n2\" c");
        assert_eq!(source.words().collect::<Vec<_>>(), [(1, "a"), (3, "b"), (5, "c")]);
    }

    #[test]
    fn tests_at_the_end_are_left_out() {
        check("a\n#[cfg(test)]\nmod tests { b }", &["a"]);
        check("a\n#[cfg(test)]\npub mod tests { b }", &["a"]);
        check("a\n#[cfg(test)]\npub(in crate::c) mod tests { b }", &["a"]);
        check("a\n#[cfg(test)]\nuse b;\nc", &["a", "cfg", "test", "use", "b", "c"]);
    }

    #[test]
    fn rooms_behind_crate_are_found() {
        let source = Source::without_tests(
            "use crate::a::b; use crate::{c, d::{e, f}, g}; let x = crate::h::i; use other::j;",
        );
        let rooms: Vec<_> = source.rooms_named().into_iter().map(|(_, room)| room).collect();
        assert_eq!(rooms, ["a", "c", "d", "g", "h"]);
    }

    #[test]
    fn a_protocols_name_is_found() {
        let text = "pub static PROTOCOL: Protocol = Protocol {\n    name: \"redis\", ports };";
        assert_eq!(Source::without_tests(text).registered_name(), Some("redis"));
        assert_eq!(Source::without_tests("name: \"redis\"").registered_name(), None);
    }
}
