//! Which records stand at another place than the tree has them.

use super::finding::{Findings, Span, What};
use super::unit::Placed;

/// Reports the records that stand out of order: as few as explain it. `placed` are in the order of the tree, and those
/// before them stand at `behind` at the latest. Returns where the last one stands that stayed in order.
pub(super) fn report_moved(log: &str, behind: u64, placed: &[&Placed], findings: &mut Findings) -> u64 {
    // What stands behind the checkpoint that covers it is out of order, whatever its neighbours are.
    let order = |placed: &&Placed| if placed.entry.late { 0 } else { placed.entry.order };
    let orders: Vec<u64> = placed.iter().map(order).collect();
    if orders.is_sorted() && orders.first().is_none_or(|first| *first > behind) {
        return orders.last().copied().unwrap_or(behind);
    }
    let stays = longest_increasing(&orders, behind);
    let mut position = 0;
    while let Some(first) = placed.get(position) {
        let begin = position;
        position += 1;
        if stays.get(begin) == Some(&true) {
            continue;
        }
        // Those that moved together, with a checkpoint among them perhaps, are one move.
        let mut last = first;
        while let Some(next) = placed.get(position)
            && stays.get(position) == Some(&false)
            && next.index == last.index + 1
            && (last.entry.order + 1..=last.entry.order + 2).contains(&next.entry.order)
        {
            last = next;
            position += 1;
        }
        let before = begin.checked_sub(1).and_then(|before| placed.get(before));
        report(log, before.copied(), first, last.index, placed.get(position).copied(), findings);
    }
    let in_order = orders.iter().zip(&stays).filter(|(_, stays)| **stays);
    in_order.map(|(order, _)| *order).max().unwrap_or(behind)
}

/// Reports records that stand together at another place than between these two.
fn report(
    log: &str,
    before: Option<&Placed>,
    first: &Placed,
    last: u64,
    after: Option<&Placed>,
    findings: &mut Findings,
) {
    let here = &first.entry.place;
    let stands = match first.index == last {
        true => format!("it stands at {here}"),
        false => format!("they stand at {here} and behind it"),
    };
    let (place, text) = match (before, after) {
        (Some(Placed { index, entry, .. }), _) => {
            (&entry.place, format!("{stands}; the place is after record {index}, at {}", entry.place))
        }
        (None, Some(Placed { index, entry, .. })) => {
            (&entry.place, format!("{stands}; the place is before record {index}, at {}", entry.place))
        }
        (None, None) => (here, format!("{stands}; the place is before the checkpoint that covers this")),
    };
    let span = Span { first: first.index, last };
    findings.push(What::Moved, Some(log), Some(span), vec![here.clone(), place.clone()], text);
}

/// Which of the numbers make up the longest sequence that increases, of those that are larger than `least`.
fn longest_increasing(numbers: &[u64], least: u64) -> Vec<bool> {
    // Of each length, the sequence that ends with the smallest number: the positions of these ends.
    let mut ends: Vec<usize> = Vec::new();
    let mut before: Vec<Option<usize>> = Vec::with_capacity(numbers.len());
    for (position, number) in numbers.iter().enumerate() {
        let length = ends.partition_point(|end| numbers.get(*end) < Some(number));
        before.push(length.checked_sub(1).and_then(|shorter| ends.get(shorter)).copied());
        if *number <= least {
            continue;
        }
        match ends.get_mut(length) {
            Some(end) => *end = position,
            None => ends.push(position),
        }
    }
    let mut stays = vec![false; numbers.len()];
    let mut next = ends.last().copied();
    while let Some(position) = next {
        if let Some(stays) = stays.get_mut(position) {
            *stays = true;
        }
        next = before.get(position).copied().flatten();
    }
    stays
}

#[cfg(test)]
mod tests {
    use super::longest_increasing;

    #[test]
    fn as_few_as_possible_are_out_of_order() {
        assert_eq!(longest_increasing(&[], 0), [false; 0]);
        assert_eq!(longest_increasing(&[1, 2, 3], 0), [true; 3]);
        assert_eq!(longest_increasing(&[1, 9, 2, 3], 0), [true, false, true, true]);
        assert_eq!(longest_increasing(&[2, 3, 4, 1, 5], 0), [true, true, true, false, true]);
        assert_eq!(longest_increasing(&[2, 1], 0).iter().filter(|stays| **stays).count(), 1);
        assert_eq!(longest_increasing(&[1, 2, 3, 9], 2), [false, false, true, true]);
    }
}
