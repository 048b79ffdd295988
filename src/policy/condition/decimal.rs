//! Numbers as people write them: exact, or not at all.
//!
//! A binary fraction cannot hold 0.1, and the decimal types of libraries round once a sum or product has too many
//! digits. A limit of money must not depend on either, so what does not fit here is an error and never another number.

use std::cmp::Ordering;

/// `digits · 10^exponent`. There is one form of each number: the digits do not end with a zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Decimal {
    digits: i128,
    exponent: i32,
}

/// No number is scaled by more than this, however it is written. Those of JSON that survive are far below (a double
/// ends at 10^308).
const LARGEST_EXPONENT: i32 = 1000;

impl Decimal {
    /// Reads a number as JSON writes it (RFC 8259 §6). Nothing where it is none, or has more digits than fit.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (negative, text) = text.strip_prefix('-').map_or((false, text), |text| (true, text));
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let (whole, fraction) =
            mantissa.split_once('.').map_or((mantissa, None), |(whole, rest)| (whole, Some(rest)));
        let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let has_leading_zero = whole.len() > 1 && whole.starts_with('0');
        if !is_digits(whole) || has_leading_zero || !fraction.is_none_or(is_digits) {
            return None;
        }
        if !is_digits(exponent.strip_prefix(['+', '-']).unwrap_or(exponent)) {
            return None;
        }
        let fraction = fraction.unwrap_or_default();
        // Zeros at the end belong into the exponent, and must not use up the digits that fit.
        let significant = if fraction.bytes().all(|byte| byte == b'0') { "" } else { fraction };
        let significant = significant.trim_end_matches('0');
        let mut digits: i128 = 0;
        for digit in whole.bytes().chain(significant.bytes()) {
            digits = digits.checked_mul(10)?.checked_add(i128::from(digit - b'0'))?;
        }
        let scale = i32::try_from(significant.len()).ok()?;
        if digits == 0 {
            return Some(Self { digits: 0, exponent: 0 });
        }
        let exponent = exponent.parse::<i32>().ok()?.checked_sub(scale)?;
        Self::normal(if negative { -digits } else { digits }, exponent)
    }

    fn normal(mut digits: i128, mut exponent: i32) -> Option<Self> {
        if digits == 0 {
            return Some(Self { digits: 0, exponent: 0 });
        }
        while digits % 10 == 0 {
            digits /= 10;
            exponent = exponent.checked_add(1)?;
        }
        (exponent.abs() <= LARGEST_EXPONENT).then_some(Self { digits, exponent })
    }

    pub(super) fn is_whole(self) -> bool {
        self.exponent >= 0
    }

    /// The number as a position in a list, if it can be one.
    pub(super) fn as_position(self) -> Option<usize> {
        // Only what is whole can be scaled to ones.
        usize::try_from(self.scaled_to(0)?).ok()
    }

    /// The sum, if it fits.
    pub(super) fn add(self, other: Self) -> Option<Self> {
        let exponent = self.exponent.min(other.exponent);
        Self::normal(self.scaled_to(exponent)?.checked_add(other.scaled_to(exponent)?)?, exponent)
    }

    /// The difference, if it fits.
    pub(super) fn subtract(self, other: Self) -> Option<Self> {
        self.add(other.negate()?)
    }

    /// The product, if it fits.
    pub(super) fn multiply(self, other: Self) -> Option<Self> {
        Self::normal(self.digits.checked_mul(other.digits)?, self.exponent + other.exponent)
    }

    pub(super) fn negate(self) -> Option<Self> {
        Some(Self { digits: self.digits.checked_neg()?, ..self })
    }

    /// The digits at that exponent, which is not above the number's own.
    fn scaled_to(self, exponent: i32) -> Option<i128> {
        let power = u32::try_from(self.exponent - exponent).ok()?;
        if self.digits == 0 {
            return Some(0);
        }
        self.digits.checked_mul(10_i128.checked_pow(power)?)
    }
}

impl From<i128> for Decimal {
    fn from(whole: i128) -> Self {
        // The exponent of a whole number of 39 digits is far from the limit.
        Self::normal(whole, 0).unwrap_or(Self { digits: 0, exponent: 0 })
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        let exponent = self.exponent.min(other.exponent);
        match (self.scaled_to(exponent), other.scaled_to(exponent)) {
            (Some(one), Some(two)) => one.cmp(&two),
            // What does not fit when it is scaled up is larger than all that fits; only one of the two is scaled.
            (None, _) => self.digits.cmp(&0),
            (_, None) => 0.cmp(&other.digits),
        }
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Whether a number means the same to whoever reads it into a double as to whoever reads its digits (RFC 8259 §6,
/// RFC 7493 §2.2): 9007199254740993 is 9007199254740992 to many a backend.
pub(super) fn survives_double(text: &str, exact: Decimal) -> bool {
    // Fifteen digits always do (DBL_DIG), far from where doubles end.
    const ALWAYS: i128 = 1_000_000_000_000_000;
    if exact.digits.abs() < ALWAYS && exact.exponent.abs() < 290 {
        return true;
    }
    // The shortest digits that give the double back are the number, where nothing was lost.
    text.parse::<f64>()
        .is_ok_and(|double| double.is_finite() && Decimal::parse(&format!("{double:e}")) == Some(exact))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decimal(text: &str) -> Decimal {
        Decimal::parse(text).unwrap_or_else(|| panic!("{text}"))
    }

    #[test]
    fn numbers_are_what_their_digits_say() {
        for (one, two) in [
            ("1e5", "100000"),
            ("1E+5", "100000.000"),
            ("0.1", "1e-1"),
            ("-0", "0"),
            ("0e999999999", "0.000"),
            ("12.50", "125e-1"),
            ("10000000000000000000000000000000000000e-37", "1"),
        ] {
            assert_eq!(decimal(one), decimal(two), "{one} {two}");
        }
        for (less, more) in [
            ("10000", "10000.01"),
            ("-1e300", "1e-300"),
            ("1e-300", "1e300"),
            ("-1e300", "-1"),
            ("9007199254740992", "9007199254740993"),
            ("0.30000000000000004", "0.30000000000000005"),
            ("170141183460469231731687303715884105727", "1e39"),
            ("-1e39", "-170141183460469231731687303715884105727"),
        ] {
            assert!(decimal(less) < decimal(more) && decimal(more) > decimal(less), "{less} {more}");
        }
    }

    #[test]
    fn what_is_no_number_or_does_not_fit_is_refused() {
        for text in [
            "",
            "-",
            "+1",
            "01",
            "1.",
            ".5",
            "1e",
            "1e+",
            "0x10",
            "1_0",
            "NaN",
            " 1",
            "1 ",
            "--1",
            "1e2000",
            "1e99999999999",
            "1e-2000",
            "1234567890123456789012345678901234567890",
        ] {
            assert_eq!(Decimal::parse(text), None, "{text}");
        }
    }

    #[test]
    fn arithmetic_is_exact_or_refused() {
        assert_eq!(decimal("0.1").add(decimal("0.2")), Some(decimal("0.3")));
        assert_eq!(decimal("1.10").subtract(decimal("1.1")), Some(decimal("0")));
        assert_eq!(decimal("19.99").multiply(decimal("3")), Some(decimal("59.97")));
        assert_eq!(decimal("1e300").add(decimal("1e-300")), None);
        assert_eq!(decimal("1e900").multiply(decimal("1e900")), None);
    }

    #[test]
    fn only_what_a_double_holds_survives_it() {
        for text in ["0.1", "10000.01", "1e5", "9007199254740992", "1e300", "123456789012345.6", "0", "-0"] {
            assert!(survives_double(text, decimal(text)), "{text}");
        }
        for text in ["9007199254740993", "0.1000000000000000055", "1e400", "1e-400", "12345678901234567890"] {
            assert!(!survives_double(text, decimal(text)), "{text}");
        }
    }

    proptest! {
        #[test]
        fn order_and_sums_are_those_of_whole_numbers(one in any::<i64>(), two in any::<i64>(), scale in 0_u32..20) {
            let at = |number: i64| decimal(&format!("{number}e-{scale}"));
            prop_assert_eq!(at(one).cmp(&at(two)), one.cmp(&two));
            let sum = i128::from(one) + i128::from(two);
            prop_assert_eq!(at(one).add(at(two)), Some(decimal(&format!("{sum}e-{scale}"))));
            let product = i128::from(one) * i128::from(two);
            prop_assert_eq!(at(one).multiply(at(two)), Some(decimal(&format!("{product}e-{}", 2 * scale))));
        }

        #[test]
        fn doubles_are_read_back(double in any::<f64>().prop_filter("finite", |double| double.is_finite())) {
            let text = format!("{double:e}");
            prop_assert!(survives_double(&text, decimal(&text)), "{}", text);
        }

        #[test]
        fn the_order_is_total(one in "-?[0-9]{1,20}(\\.[0-9]{1,10})?e-?[0-9]{1,3}", two in "-?[0-9]{1,20}e-?[0-9]{1,3}") {
            let (one, two) = (one.trim_start_matches("00"), two.trim_start_matches("00"));
            if let (Some(one), Some(two)) = (Decimal::parse(one), Decimal::parse(two)) {
                prop_assert_eq!(one.cmp(&two), two.cmp(&one).reverse());
                prop_assert_eq!(one == two, one.cmp(&two) == Ordering::Equal);
            }
        }
    }
}
