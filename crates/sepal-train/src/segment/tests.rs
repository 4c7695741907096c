use super::*;

#[test]
fn tiles_cover_a_side_once_and_fit_into_it() {
    let sides = [1, 63, 64, 65, 100, 112, 113, 131, 500, 1000];
    for (side, multiple) in sides.into_iter().flat_map(|side| [(side, 1), (side, 8)]) {
        let cuts = cuts(side, 64, 16, multiple);
        let mut next = 0;
        for cut in &cuts {
            assert_eq!(cut.own.start, next, "{side}");
            assert!(
                cut.whole.start <= cut.own.start && cut.own.end <= cut.whole.end && cut.whole.end <= side,
                "{side}"
            );
            // What is not at the picture's edge has half of the overlap around it.
            assert!(cut.own.start == 0 || cut.own.start - cut.whole.start >= 8, "{side}");
            assert!(cut.own.end == side || cut.whole.end - cut.own.end >= 8, "{side}");
            assert!(cut.whole.start.is_multiple_of(multiple) && cut.whole.len() <= 64, "{side}");
            next = cut.own.end;
        }
        assert_eq!(next, side);
    }
}

#[test]
fn of_equal_scores_the_first_class_wins_and_what_is_no_number_never() {
    assert_eq!(greatest([1.0, 3.0, 3.0].iter()), 1);
    assert_eq!(greatest([f32::NAN, -1.0].iter()), 1);
}
