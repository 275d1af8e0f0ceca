//! Any streams in any order, however cut and whatever is lost.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

/// What happens on one stream.
#[derive(Clone, Debug)]
struct Plan {
    method: &'static str,
    path: &'static str,
    /// Lengths of DATA frames, and how they are padded.
    request: Vec<(usize, Option<u8>)>,
    interim: bool,
    status: &'static str,
    response: Vec<(usize, Option<u8>)>,
    request_trailers: bool,
    response_trailers: bool,
    /// 0: nobody gives up, 1: the client, 2: the server.
    reset: u8,
}

fn bodies() -> impl Strategy<Value = Vec<(usize, Option<u8>)>> {
    prop::collection::vec((0usize..300, prop::option::weighted(0.2, 0u8..20)), 0..4)
}

fn plan() -> impl Strategy<Value = Plan> {
    let words = (
        prop::sample::select(vec!["GET", "PUT", "POST"]),
        prop::sample::select(vec!["/", "/a", "/b/c", "/a/rather/long/path"]),
        prop::sample::select(vec!["200", "201", "404", "503"]),
    );
    let flags = (any::<bool>(), any::<bool>(), any::<bool>(), 0u8..12);
    (words, flags, bodies(), bodies()).prop_map(|(words, flags, request, response)| Plan {
        method: words.0,
        path: words.1,
        request,
        interim: flags.0,
        status: words.2,
        response,
        request_trailers: flags.1,
        response_trailers: flags.2,
        reset: flags.3,
    })
}

/// The next thing that is said on a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Open,
    Ask(usize),
    AskTrailers,
    Interim,
    Begin,
    Answer(usize),
    AnswerTrailers,
    Cancel,
    Refuse,
}

impl Plan {
    fn steps(&self) -> Vec<Step> {
        let mut steps = vec![Step::Open];
        steps.extend((0..self.request.len()).map(Step::Ask));
        if self.request_trailers {
            steps.push(Step::AskTrailers);
        }
        if self.interim {
            steps.push(Step::Interim);
        }
        if self.reset == 2 {
            steps.push(Step::Refuse);
            return steps;
        }
        steps.push(Step::Begin);
        if self.reset == 1 && self.has_end() {
            steps.push(Step::Cancel);
            return steps;
        }
        steps.extend((0..self.response.len()).map(Step::Answer));
        if self.response_trailers {
            steps.push(Step::AnswerTrailers);
        }
        steps
    }

    /// Whether the response is more than one header block.
    fn has_end(&self) -> bool {
        self.response_trailers || !self.response.is_empty()
    }

    fn text(&self) -> String {
        format!("{} example.com{}", self.method, self.path)
    }

    /// What may be shown of the request where some of it is not known.
    fn texts(&self) -> Vec<String> {
        let mut texts = Vec::new();
        for method in [self.method, "?"] {
            for host in ["example.com", "?"] {
                for path in [self.path, "?"] {
                    texts.push(format!("{method} {host}{path}"));
                }
            }
            texts.push(format!("{method} ?"));
        }
        texts
    }

    /// The status of what is shown of the response, and its text.
    fn end(&self) -> (Status, String) {
        match self.reset {
            2 => (Status::Error, "reset INTERNAL_ERROR".to_owned()),
            1 if self.has_end() => (Status::Error, "cancelled".to_owned()),
            _ if self.status >= "400" => (Status::Error, self.status.to_owned()),
            _ => (Status::Ok, self.status.to_owned()),
        }
    }

    /// How many frames the response has.
    fn frames(&self) -> usize {
        match self.reset {
            2 => 1,
            1 if self.has_end() => 2,
            _ => 1 + self.response.len() + usize::from(self.response_trailers),
        }
    }

    fn say(&self, talk: &mut Talk, id: u32, step: Step) -> (Direction, Vec<u8>) {
        let content = |(len, padding): (usize, Option<u8>), end: bool| match padding {
            None => data(id, &vec![0x55; len], end),
            Some(padding) => {
                let payload = [&[padding][..], &vec![0x55; len], &vec![0; padding.into()]].concat();
                frame(kind::DATA, flag::PADDED | u8::from(end), id, &payload)
            }
        };
        match step {
            Step::Open => {
                let fields = [
                    (":method", self.method),
                    (":scheme", "http"),
                    (":path", self.path),
                    (":authority", "example.com"),
                ];
                let end = self.request.is_empty() && !self.request_trailers;
                (Request, talk.headers(Request, id, &fields, end))
            }
            Step::Ask(at) => {
                let end = at + 1 == self.request.len() && !self.request_trailers;
                (Request, content(self.request[at], end))
            }
            Step::AskTrailers => {
                (Request, talk.headers(Request, id, &[("checksum", self.path)], true))
            }
            Step::Interim => (Response, talk.headers(Response, id, &[(":status", "103")], false)),
            Step::Begin => {
                let fields = [(":status", self.status), ("content-length", self.path)];
                (Response, talk.headers(Response, id, &fields, !self.has_end()))
            }
            Step::Answer(at) => {
                let end = at + 1 == self.response.len() && !self.response_trailers;
                (Response, content(self.response[at], end))
            }
            Step::AnswerTrailers => {
                (Response, talk.headers(Response, id, &[("checksum", "2")], true))
            }
            Step::Cancel => (Request, frame(kind::RST_STREAM, 0, id, &[0, 0, 0, 8])),
            Step::Refuse => (Response, frame(kind::RST_STREAM, 0, id, &[0, 0, 0, 2])),
        }
    }
}

/// Lets the streams take turns; a stream opens after those with lower numbers.
fn interleave(plans: &[Plan], turns: &[usize]) -> Vec<(Direction, Vec<u8>)> {
    let mut talk = Talk::default();
    let mut steps: Vec<_> = plans.iter().map(|plan| plan.steps().into_iter().peekable()).collect();
    let mut script = Vec::new();
    let mut opened = 0;
    let mut turns = turns.iter().cycle();
    while steps.iter_mut().any(|steps| steps.peek().is_some()) {
        let mut at = turns.next().unwrap() % plans.len();
        while at > opened || steps[at].peek().is_none() {
            at = (at + 1) % plans.len();
        }
        let step = steps[at].next().unwrap();
        if step == Step::Open {
            opened += 1;
        }
        script.push(plans[at].say(&mut talk, 2 * u32::try_from(at).unwrap() + 1, step));
    }
    script
}

/// Pairs messages as the next stage does, and checks what it would show.
#[derive(Default)]
struct Pairs {
    /// Requests under way, each with its text and the parts of its response.
    open: HashMap<u64, (String, usize)>,
    shown: Vec<u64>,
    known: usize,
}

impl Pairs {
    fn take(&mut self, plans: &[Plan], seen: &Seen) -> Result<(), TestCaseError> {
        let Correlation::Id(id) = seen.correlation else { return Ok(()) };
        let plan = &plans[usize::try_from(id / 2).unwrap()];
        match (seen.direction, seen.part) {
            (Request, Part::First | Part::Whole) => {
                prop_assert!(plan.texts().contains(&seen.text), "{}", seen.line());
                prop_assert!(!self.open.contains_key(&id) && !self.shown.contains(&id));
                self.open.insert(id, (seen.text.clone(), 0));
            }
            (Response, Part::First | Part::Middle) => {
                if let Some((_, parts)) = self.open.get_mut(&id) {
                    prop_assert_eq!(*parts > 0, seen.part == Part::Middle, "{}", seen.line());
                    *parts += 1;
                }
            }
            (Response, Part::Last | Part::Whole) | (Request, Part::Cancel) => {
                let Some((text, parts)) = self.open.remove(&id) else { return Ok(()) };
                let (status, word) = plan.end();
                // Why it was reset may not have been seen.
                let is_cut = seen.text == "reset ?" && word.starts_with("reset ");
                let is_right = seen.text == word || seen.text == "?" || is_cut;
                prop_assert!(is_right, "{} for {word}", seen.line());
                prop_assert!(seen.status == status || seen.text == "?", "{}", seen.line());
                prop_assert_eq!(parts + 1, plan.frames(), "{}", seen.line());
                self.known += usize::from(text == plan.text() && seen.text == word);
                self.shown.push(id);
            }
            (Response, Part::Void) => {
                self.open.remove(&id);
            }
            (Request, _) => {}
            (Response, Part::Cancel) => prop_assert!(false),
        }
        Ok(())
    }
}

fn plans() -> impl Strategy<Value = Vec<Plan>> {
    prop::collection::vec(plan(), 1..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn every_stream_is_paired_with_itself(
        plans in plans(),
        turns in prop::collection::vec(0usize..12, 1..40),
        cuts in prop::collection::vec(1usize..100, 1..20),
    ) {
        let script = interleave(&plans, &turns);
        let options = DecodeOptions::default();
        let whole = play(&PROTOCOL, &script, usize::MAX, &options);
        prop_assert_eq!(whole.broken, None);
        let mut pairs = Pairs::default();
        for seen in &whole.seen {
            pairs.take(&plans, seen)?;
        }
        prop_assert_eq!((pairs.shown.len(), pairs.known), (plans.len(), plans.len()));
        prop_assert!(pairs.open.is_empty());
        // In pieces of any size.
        let mut driver = play(&PROTOCOL, &[], usize::MAX, &options);
        let mut cuts = cuts.iter().cycle();
        for (direction, bytes) in &script {
            let mut rest = bytes.as_slice();
            while !rest.is_empty() {
                let (piece, behind) = rest.split_at((*cuts.next().unwrap()).min(rest.len()));
                driver.feed(*direction, piece);
                rest = behind;
            }
        }
        prop_assert_eq!(&driver.seen, &whole.seen);
        prop_assert!(driver.held < 200);
    }

    #[test]
    fn whatever_is_lost_nothing_wrong_is_shown(
        plans in plans(),
        turns in prop::collection::vec(0usize..12, 1..40),
        size in 1usize..400,
        losses in prop::collection::vec(0u8..12, 1..60),
        late in any::<bool>(),
    ) {
        let script = interleave(&plans, &turns);
        let mut driver = if late {
            Driver::new(&PROTOCOL, DecodeOptions::default())
        } else {
            play(&PROTOCOL, &[], usize::MAX, &DecodeOptions::default())
        };
        let mut lost = [late; 2];
        let mut losses = losses.iter().cycle();
        let mut pairs = Pairs::default();
        for (direction, bytes) in &script {
            for piece in bytes.chunks(size) {
                let is_lost = &mut lost[usize::from(*direction == Response)];
                let loss = *losses.next().unwrap();
                let was_lost = *is_lost;
                if loss == 0 {
                    // A packet that was not captured.
                    *is_lost = *is_lost || !driver.lose(*direction, piece.len() as u64);
                } else if loss == 1 {
                    // One that was cut off.
                    let (visible, hidden) = piece.split_at(piece.len() / 2);
                    if *is_lost {
                        *is_lost = visible.is_empty() || !driver.rejoin(*direction, visible);
                    } else {
                        driver.feed(*direction, visible);
                    }
                    let is_read = !*is_lost && driver.broken.is_none();
                    *is_lost = !is_read || !driver.lose(*direction, hidden.len() as u64);
                } else if *is_lost {
                    *is_lost = !driver.rejoin(*direction, piece);
                } else {
                    driver.feed(*direction, piece);
                }
                *is_lost |= driver.broken.take().is_some();
                for seen in std::mem::take(&mut driver.seen) {
                    pairs.take(&plans, &seen)?;
                }
                if *is_lost && !was_lost {
                    driver.pending[usize::from(*direction == Response)].clear();
                    driver.skip[usize::from(*direction == Response)] = 0;
                    if *direction == Response {
                        pairs.open.clear();
                    }
                }
            }
        }
    }

    #[test]
    fn any_frames_are_survived(
        pieces in prop::collection::vec((any::<bool>(), hostile(), 0u64..60), 0..40),
        calls in any::<bool>(),
    ) {
        let protocol = if calls { &grpc::PROTOCOL } else { &PROTOCOL };
        let mut driver = play(protocol, &[], usize::MAX, &DecodeOptions::default());
        let mut lost = [false; 2];
        for (is_request, bytes, gap) in pieces {
            let direction = if is_request { Request } else { Response };
            let is_lost = &mut lost[usize::from(!is_request)];
            if *is_lost {
                *is_lost = !driver.rejoin(direction, &bytes);
            } else {
                driver.feed(direction, &bytes);
            }
            if !*is_lost && driver.broken.is_none() && gap % 4 == 1 {
                *is_lost = !driver.lose(direction, gap);
            }
            *is_lost |= driver.broken.take().is_some();
            if *is_lost {
                driver.pending[usize::from(!is_request)].clear();
                driver.skip[usize::from(!is_request)] = 0;
            }
            prop_assert!(driver.held <= 70_000);
        }
    }
}

/// Frames that may be wrong in any way.
fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let payload = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..40),
        Just(vec![0x82, 0x86, 0x84, 0x41, 1, b'x']),
        Just(vec![0x88]),
        Just(vec![0, 0, 0, 0, 2, 1, 1]),
        Just(vec![0, 0, 0, 8]),
    ];
    (0u8..11, any::<u8>(), 0u32..8, payload, 0usize..60).prop_map(
        |(kind, flags, stream, payload, cut)| {
            let flags = if flags < 128 { flags & 0x2d } else { 5 };
            let bytes = frame(kind, flags, stream, &payload);
            bytes[..bytes.len() - if cut < 5 { cut.min(bytes.len()) } else { 0 }].to_vec()
        },
    )
}
