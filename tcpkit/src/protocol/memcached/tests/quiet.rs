//! Requests that are answered only if there is something to say.

use super::*;

#[test]
fn muted_requests_wait_for_nothing() {
    check(
        &[
            "> set a 0 0 1 noreply|x|delete a noreply|incr n 1 noreply|touch a 0 noreply|get a|",
            "< END|",
            "> flush_all noreply|verbosity 1 noreply|get noreply|",
            "< END|",
        ],
        &[
            "> SET | one-way | set a 0 0 1 noreply x",
            "> DELETE | one-way | delete a noreply",
            "> INCR | one-way | incr n 1 noreply",
            "> TOUCH | one-way | touch a 0 noreply",
            "> GET | ordered | get a",
            "< ok | ordered | MISS",
            "> FLUSH_ALL | one-way | flush_all noreply",
            "> VERBOSITY | one-way | verbosity 1 noreply",
            "> GET | ordered | get noreply",
            "< ok | ordered | MISS",
        ],
    );
}

#[test]
fn an_error_for_a_muted_request_is_paired_with_none() {
    check(
        &["> set a 0 0 1 noreply|x|", "< SERVER_ERROR out of memory|", "> get a|", "< END|"],
        &[
            "> SET | one-way | set a 0 0 1 noreply x",
            "< error | one-way | SERVER_ERROR out of memory",
            "> GET | ordered | get a",
            "< ok | ordered | MISS",
        ],
    );
    // Nobody knows whose it is, nor what the next one is for.
    check_ends(
        &["> set a 0 0 1 noreply|x|get a|", "< SERVER_ERROR out of memory|"],
        &["> SET | one-way | set a 0 0 1 noreply x", "> GET | ordered | get a"],
    );
}

/// Some servers see `noreply` wherever it stands, others do not.
#[test]
fn a_misplaced_noreply_may_be_answered_or_not() {
    for line in ["nosuch noreply", "delete noreply", "touch a noreply", "slabs automove noreply"] {
        let shown =
            format!("> {} | one-way | {line}", line.split(' ').next().unwrap().to_uppercase());
        let get = ["> GET | ordered | get a", "< ok | ordered"];
        check(&[&format!("> {line}|get a|"), "< VALUE a 0 1|x|END|"], &[&shown, get[0], get[1]]);
        check(
            &[&format!("> {line}|"), "< ERROR|", "> get a|", "< VALUE a 0 1|x|END|"],
            &[&shown, "< error | one-way | ERROR", get[0], get[1]],
        );
        check_ends(&[&format!("> {line}|get a|"), "< ERROR|"], &[&shown, get[0]]);
    }
}

#[test]
fn a_quiet_hit_is_told_by_what_it_sends_back() {
    check(
        &[
            "> mg a v q O1|mg b v q O2|mg c v q k|mg d v q k|mg e|mg f v q O1|mn|",
            "< VA 1 O2|x|VA 1 kd|y|HD|MN|",
        ],
        &[
            "> MG | ordered | mg a v q O1",
            "> MG | ordered | mg b v q O2",
            "> MG | ordered | mg c v q k",
            "> MG | ordered | mg d v q k",
            "> MG | ordered | mg e",
            "> MG | ordered | mg f v q O1",
            "> MN | ordered | mn",
            "< ok | ordered passes 1",
            "< ok | ordered passes 1",
            "< ok | ordered",
            "< ok | ordered passes 1",
        ],
    );
}

#[test]
fn quiet_hits_that_cannot_be_told_apart_are_paired_with_none() {
    check(
        &["> mg a v q|mg b v q|mg c v q O3|mn|", "< VA 1|x|VA 1 O3|y|MN|"],
        &[
            "> MG | ordered | mg a v q",
            "> MG | ordered | mg b v q",
            "> MG | ordered | mg c v q O3",
            "> MN | ordered | mn",
            "< ok | one-way",
            "< ok | ordered passes 2",
            "< ok | ordered",
        ],
    );
    // The only one that can be.
    check(
        &["> mg a v q|mn|", "< VA 1|x|MN|"],
        &["> MG | ordered | mg a v q", "> MN | ordered | mn", "< ok | ordered", "< ok | ordered"],
    );
    // The loud one behind it may have been answered, and then the next answer is for another one.
    check_ends(
        &["> mg a v q|mg b v|mg c v|", "< VA 1|x|"],
        &["> MG | ordered | mg a v q", "> MG | ordered | mg b v", "> MG | ordered | mg c v"],
    );
}

#[test]
fn quiet_stores_are_answered_when_they_fail() {
    check(
        &["> ms a 1 q|x|ms b 1 ME q|x|md c q|ma d q|mn|", "< NS|NF|CLIENT_ERROR x|MN|"],
        &[
            "> MS | one-way | ms a 1 q x",
            "> MS | one-way | ms b 1 ME q x",
            "> MD | one-way | md c q",
            "> MA | one-way | ma d q",
            "> MN | ordered | mn",
            "< ok | one-way | NOT_STORED",
            "< ok | one-way | NOT_FOUND",
            "< error | one-way | CLIENT_ERROR x",
            "< ok | ordered",
        ],
    );
    check_ends(&["> md a q|md b|", "< NF|"], &["> MD | one-way | md a q", "> MD | ordered | md b"]);
}

#[test]
fn what_nobody_waits_for_is_an_orphan() {
    let driver = play(&dialogue(&["> get a|", "< END|END|"]));
    assert_eq!(driver.lines()[2], "< ok | ordered");
}

#[test]
fn too_much_under_way_is_given_up() {
    let mut driver = new_driver();
    for _ in 0..100_000 {
        driver.feed(Request, b"get a\r\n");
    }
    assert!(driver.broken.is_some());
    // What nobody answers costs nothing.
    let mut driver = new_driver();
    for _ in 0..100_000 {
        driver.feed(Request, b"delete a noreply\r\n");
    }
    assert_eq!(driver.broken, None);
}
