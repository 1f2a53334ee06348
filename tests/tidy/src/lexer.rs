//! Takes comments and literals out of Rust text, so that rules meet code and nothing else.
//!
//! Every character that is taken out becomes a blank and every line stays where it was. It is not
//! a full lexer: it knows comments (nested ones too), strings of all kinds, characters and
//! lifetimes.

/// The code alone.
#[must_use]
pub fn code_of(text: &str) -> String {
    let mut scan = Scan { chars: text.chars().collect(), at: 0, code: String::new() };
    while let Some(char) = scan.peek(0) {
        match (char, scan.peek(1)) {
            ('/', Some('/')) => scan.blank_while(|scan| scan.peek(0) != Some('\n')),
            ('/', Some('*')) => scan.block_comment(),
            ('"', _) => scan.string(),
            ('r' | 'b' | 'c', _) if !scan.in_word() => scan.prefixed(),
            ('\'', _) => scan.quote(),
            _ => scan.keep(),
        }
    }
    scan.code
}

struct Scan {
    chars: Vec<char>,
    at: usize,
    code: String,
}

impl Scan {
    fn peek(&self, ahead: usize) -> Option<char> {
        self.chars.get(self.at + ahead).copied()
    }

    fn in_word(&self) -> bool {
        self.code.chars().next_back().is_some_and(|last| last.is_alphanumeric() || last == '_')
    }

    fn keep(&mut self) {
        if let Some(char) = self.peek(0) {
            self.code.push(char);
            self.at += 1;
        }
    }

    fn blank(&mut self) {
        if let Some(char) = self.peek(0) {
            self.code.push(if char == '\n' { '\n' } else { ' ' });
            self.at += 1;
        }
    }

    fn blank_while(&mut self, goes_on: impl Fn(&Self) -> bool) {
        while self.peek(0).is_some() && goes_on(self) {
            self.blank();
        }
    }

    fn block_comment(&mut self) {
        let mut depth = 0_usize;
        loop {
            match (self.peek(0), self.peek(1)) {
                (Some('/'), Some('*')) => depth += 1,
                (Some('*'), Some('/')) => depth -= 1,
                (None, _) => return,
                _ => {
                    self.blank();
                    continue;
                }
            }
            self.blank();
            self.blank();
            if depth == 0 {
                return;
            }
        }
    }

    /// From the opening quote; the quotes themselves are kept, so that calls keep their shape.
    fn string(&mut self) {
        self.keep();
        while let Some(char) = self.peek(0) {
            match char {
                '"' => return self.keep(),
                '\\' => {
                    self.blank();
                    self.blank();
                }
                _ => self.blank(),
            }
        }
    }

    /// `r"…"`, `r#"…"#`, `b"…"`, `br#"…"#`, `c"…"`, `b'x'`, or a word that begins like one.
    fn prefixed(&mut self) {
        let letters = (0..2).take_while(|n| matches!(self.peek(*n), Some('r' | 'b' | 'c'))).count();
        let raw = (0..letters).any(|n| self.peek(n) == Some('r'));
        let hashes = (letters..).take_while(|n| self.peek(*n) == Some('#')).count();
        let opens = self.peek(letters + hashes);
        match opens {
            Some('"') if raw => {
                for _ in 0..=letters + hashes {
                    self.keep();
                }
                let closes = |scan: &Self| {
                    scan.peek(0) == Some('"') && (1..=hashes).all(|n| scan.peek(n) == Some('#'))
                };
                self.blank_while(|scan| !closes(scan));
                for _ in 0..=hashes {
                    self.keep();
                }
            }
            Some('"') if hashes == 0 => {
                for _ in 0..letters {
                    self.keep();
                }
                self.string();
            }
            _ => self.keep(),
        }
    }

    /// A character or a lifetime.
    fn quote(&mut self) {
        let escaped = self.peek(1) == Some('\\');
        if !escaped && self.peek(2) != Some('\'') {
            return self.keep();
        }
        self.keep();
        if escaped {
            self.blank();
            self.blank();
        }
        self.blank_while(|scan| scan.peek(0) != Some('\''));
        self.keep();
    }
}

#[cfg(test)]
mod tests {
    use super::code_of;

    fn check(text: &str, code: &str) {
        assert_eq!(code_of(text), code, "of {text}");
    }

    #[test]
    fn comments_and_literals_become_blanks() {
        check("a // b", "a     ");
        check("a /* b /* c */ d */ e", "a                   e");
        check(r#"f("x\"y", 1)"#, r#"f("    ", 1)"#);
        check(r##"f(r#"x"y"#)"##, r##"f(r#"   "#)"##);
        check(r#"f(b"x", br"y", c"z")"#, r#"f(b" ", br" ", c" ")"#);
        check(r"f('x', '\'', '\n')", "f(' ', '  ', '  ')");
    }

    #[test]
    fn lifetimes_and_words_stay() {
        check("fn f<'a>(bar: &'a str, r: u8)", "fn f<'a>(bar: &'a str, r: u8)");
        check("r#type + rb", "r#type + rb");
    }

    #[test]
    fn lines_stay_where_they_were() {
        check("a \"x\ny\" b\n// c\nd", "a \" \n \" b\n    \nd");
    }
}
