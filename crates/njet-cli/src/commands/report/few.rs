//! A few of many.

/// At most `most` of the numbers below `count`, evenly spread, the first and the last among them.
pub fn evenly(count: usize, most: usize) -> Vec<usize> {
    if count <= most {
        return (0..count).collect();
    }
    let last = most.max(2) - 1;
    (0..=last).map(|i| (i * (count - 1) + last / 2) / last).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_and_no_number_twice() {
        assert!(evenly(0, 8).is_empty());
        assert_eq!(evenly(3, 8), [0, 1, 2]);
        assert_eq!(evenly(9, 3), [0, 4, 8]);
        for count in 9..200 {
            let picked = evenly(count, 8);
            assert_eq!((picked[0], picked[7], picked.len()), (0, count - 1, 8));
            assert!(picked.windows(2).all(|pair| pair[0] < pair[1]), "{picked:?}");
        }
    }
}
