//! Meta commands.

use super::*;

#[test]
fn meta_commands_are_answered_in_order() {
    check(
        &[
            "> mn|ms a 3 T100 F7 c|two|mg a v s O9|mg none|md a|md a|ma n v|ma n|me a|me x|",
            "< MN|HD c12|VA 3 s3 O9|two|EN|HD|NF|VA 2|13|HD|ME a exp=-1 la=0|EN|",
            "> ms a 1 ME|x|ms a 1 C1|x|mg YQ== b k v|mg a q q|",
            "< NS|EX|HD kYQ== b|CLIENT_ERROR duplicate flag|",
        ],
        &[
            "> MN | ordered | mn",
            "> MS | ordered | ms a 3 T100 F7 c two",
            "> MG | ordered | mg a v s O9",
            "> MG | ordered | mg none",
            "> MD | ordered | md a",
            "> MD | ordered | md a",
            "> MA | ordered | ma n v",
            "> MA | ordered | ma n",
            "> ME | ordered | me a",
            "> ME | ordered | me x",
            "< ok | ordered",
            "< ok | ordered",
            "< ok | ordered",
            "< ok | ordered | MISS",
            "< ok | ordered",
            "< ok | ordered | NOT_FOUND",
            "< ok | ordered",
            "< ok | ordered",
            "< ok | ordered",
            "< ok | ordered | MISS",
            "> MS | ordered | ms a 1 ME x",
            "> MS | ordered | ms a 1 C1 x",
            "> MG | ordered | mg YQ== b k v",
            "> MG | ordered | mg a q q",
            "< ok | ordered | NOT_STORED",
            "< ok | ordered | EXISTS",
            "< ok | ordered",
            "< error | ordered | CLIENT_ERROR duplicate flag",
        ],
    );
}

#[test]
fn fields_say_what_was_asked_and_found() {
    check_fields(
        "ms a 3 T60 Oabc|two|",
        "HD Oabc|",
        ["command=MS key=a exptime=60 opaque=abc bytes=3", "result=OK"],
    );
    check_fields("mg a v|", "VA 3|two|", ["command=MG key=a", "result=HIT reply_bytes=3"]);
    check_fields("md a|", "NF|", ["command=MD key=a", "result=NOT_FOUND"]);
}

#[test]
fn what_is_sent_back_has_to_fit() {
    check_ends(&["> mg a O1|", "< HD O2|"], &["> MG | ordered | mg a O1"]);
    check_ends(&["> mg a k|", "< HD kb|"], &["> MG | ordered | mg a k"]);
    // Older servers leave it out of a miss.
    check(&["> mg a O1|", "< EN|"], &["> MG | ordered | mg a O1", "< ok | ordered | MISS"]);
}
