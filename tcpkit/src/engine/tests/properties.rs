//! Whatever the talk, and whatever happens to its packets.

use proptest::prelude::*;

use super::*;

/// Turns of a random talk: pipelines of gets and sets with values of some size, and slow answers.
fn turns() -> impl Strategy<Value = Vec<(Vec<(bool, usize)>, u64)>> {
    let command = (any::<bool>(), 0_usize..600);
    prop::collection::vec((prop::collection::vec(command, 1..6), 0..5 * MS), 1..8)
}

fn play(turns: &[(Vec<(bool, usize)>, u64)], mss: usize) -> Vec<SimFrame> {
    let mut talk = Connection::open().with_mss(mss);
    for (number, (commands, wait_ns)) in turns.iter().enumerate() {
        let (mut requests, mut replies) = (String::new(), String::new());
        for (position, (is_set, len)) in commands.iter().enumerate() {
            let key = format!("key{number}.{position}");
            if *is_set {
                requests += &set(&key, &"v".repeat(*len));
                replies += "+OK\r\n";
            } else {
                requests += &get(&key);
                replies += &bulk(&"v".repeat(*len));
            }
        }
        talk = talk.ask(requests).wait(*wait_ns).answer(replies);
    }
    talk.frames()
}

/// A client that does not wait for its answers, and a server that works them off as Redis does: in
/// each step a request is sent, or all are answered.
fn multiplexed(steps: &[(bool, u64)]) -> Vec<SimFrame> {
    let (mut talk, mut sent, mut answered) = (Connection::open(), 0, 0);
    for (is_request, wait_ns) in steps {
        talk = talk.wait(*wait_ns);
        if *is_request {
            talk = talk.ask(get(&format!("key{sent}")));
            sent += 1;
        } else if answered < sent {
            talk = talk.answer((answered..sent).map(|n| bulk(&n.to_string())).collect::<String>());
            answered = sent;
        }
    }
    talk.frames()
}

fn steps() -> impl Strategy<Value = Vec<(bool, u64)>> {
    prop::collection::vec((any::<bool>(), 0..20 * MS), 10..80)
}

proptest! {
    #[test]
    fn clients_that_do_not_wait_get_no_wrong_times(
        steps in steps(),
        gone in any::<prop::sample::Index>(),
    ) {
        let frames = multiplexed(&steps);
        let whole = run(&frames).seen;
        let at = gone.index(frames.len());
        for seen in &run(&frames[at..]).seen {
            prop_assert!(seen.is_among(&whole), "from packet {} on: {:?}", at, seen);
        }
        let mut holed = frames;
        holed.remove(at);
        for seen in &run(&holed).seen {
            prop_assert!(seen.is_among(&whole), "without packet {}: {:?}", at, seen);
        }
    }

    #[test]
    fn any_segmentation_gives_the_same_requests(turns in turns(), mss in 1_usize..200) {
        let whole = run(&play(&turns, 60_000));
        let split = run(&play(&turns, mss));
        prop_assert_eq!(whole.requests(), split.requests());
        let bytes = |seen: &[Seen]| seen.iter().map(|one| one.bytes).collect::<Vec<_>>();
        prop_assert_eq!(bytes(&whole.seen), bytes(&split.seen));
        prop_assert!(split.seen.iter().all(|seen| seen.quality == "exact"));
        let count: usize = turns.iter().map(|(commands, _)| commands.len()).sum();
        prop_assert_eq!(whole.seen.len(), count);
    }

    #[test]
    fn any_order_within_the_window_gives_the_same_transactions(
        turns in turns(),
        mss in 20_usize..300,
        swaps in prop::collection::vec((any::<prop::sample::Index>(), 1_usize..4), 0..20),
    ) {
        // Short waits: what is late by more than the grace counts as lost.
        let turns: Vec<_> =
            turns.into_iter().map(|(commands, wait_ns)| (commands, wait_ns % (300 * US))).collect();
        let frames = play(&turns, mss);
        let mut shuffled = frames.clone();
        for (index, distance) in swaps {
            let from = 3 + index.index(shuffled.len() - 3);
            let to = (from + distance).min(shuffled.len() - 1);
            shuffled.swap(from, to);
        }
        let (straight, mixed) = (run(&frames), run(&shuffled));
        prop_assert_eq!(straight.seen, mixed.seen);
    }

    #[test]
    fn no_missing_packet_makes_a_wrong_time(
        turns in turns(),
        mss in 20_usize..400,
        gone in any::<prop::sample::Index>(),
    ) {
        let frames = play(&turns, mss);
        let whole = run(&frames).seen;
        let mut holed = frames;
        holed.remove(gone.index(holed.len()));
        for seen in &run(&holed).seen {
            prop_assert!(seen.is_among(&whole), "{:?}", seen);
        }
    }

    #[test]
    fn no_snaplen_makes_a_wrong_time(turns in turns(), mss in 20_usize..2000, snaplen in 1_usize..300) {
        let frames = play(&turns, mss);
        let whole = run(&frames).seen;
        for seen in &run(&cut(&frames, snaplen)).seen {
            prop_assert!(seen.is_among(&whole), "{:?}", seen);
        }
    }

    #[test]
    fn no_beginning_makes_a_wrong_time(turns in turns(), mss in 20_usize..400, skip in any::<prop::sample::Index>()) {
        let frames = play(&turns, mss);
        let whole = run(&frames).seen;
        for seen in &run(&frames[skip.index(frames.len())..]).seen {
            prop_assert!(seen.is_among(&whole), "{:?}", seen);
        }
    }

    #[test]
    fn any_bytes_at_all_do_no_harm(
        frames in prop::collection::vec((any::<bool>(), prop::collection::vec(any::<u8>(), 0..200)), 1..30),
        cuts in prop::collection::vec(0_usize..300, 30),
    ) {
        let mut talk = Connection::open();
        for (asks, bytes) in &frames {
            talk = if *asks { talk.ask(bytes) } else { talk.answer(bytes) };
        }
        let mut frames = talk.close().frames();
        for (frame, cut) in frames.iter_mut().zip(cuts) {
            frame.captured = frame.captured.min(cut.max(HEADERS - 10));
        }
        run(&frames);
    }
}
