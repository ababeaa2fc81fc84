//! Which of some columns stay, by one number of each.

/// A column and its number.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Value {
    pub name: String,
    pub value: f64,
}

/// What is wanted of a column's number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Filter {
    /// At least, or at most, this.
    Threshold(f64),
    /// Among the first so many.
    TopK(usize),
    /// At least the quantile of this share, or at most that of what is left to 1.
    TopPercentile(f64),
}

/// Filters, each with whether high numbers are wanted. A column stays if all of them keep it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Steps(pub Vec<(Filter, bool)>);

impl Steps {
    /// Names of the columns that stay, in their order.
    pub(super) fn keep(&self, values: Vec<Value>) -> Vec<String> {
        let stays = |at: &usize| self.0.iter().all(|(filter, high)| filter.keeps(&values, *at, *high));
        let places: Vec<usize> = (0..values.len()).filter(stays).collect();
        places.into_iter().map(|at| values[at].name.clone()).collect()
    }
}

impl Filter {
    fn keeps(self, values: &[Value], at: usize, high: bool) -> bool {
        let number = values[at].value;
        match self {
            Self::Threshold(least) => {
                if high {
                    number >= least
                } else {
                    number <= least
                }
            }
            Self::TopPercentile(share) if high => number >= quantile(values, share),
            Self::TopPercentile(share) => number <= quantile(values, 1.0 - share),
            Self::TopK(count) => {
                // Of equal numbers the earlier column is before the later one.
                let before = |(place, other): &(usize, &Value)| {
                    let better = if high { other.value > number } else { other.value < number };
                    better || other.value == number && *place < at
                };
                values.iter().enumerate().filter(before).count() < count
            }
        }
    }
}

/// The quantile of a share, between two numbers on the line between them.
fn quantile(values: &[Value], share: f64) -> f64 {
    let mut sorted: Vec<f64> = values.iter().map(|known| known.value).collect();
    sorted.sort_by(f64::total_cmp);
    let place = share.clamp(0.0, 1.0) * sorted.len().saturating_sub(1) as f64;
    let (low, high) = (place.floor() as usize, place.ceil() as usize);
    match (sorted.get(low), sorted.get(high)) {
        (Some(low), Some(high)) => low + (high - low) * place.fract(),
        _ => f64::NAN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(steps: &[(Filter, bool)]) -> Vec<String> {
        let numbers = [("a", 0.5), ("b", 0.1), ("c", 0.5), ("d", 2.0), ("e", 0.0)];
        let values = numbers.map(|(name, value)| Value { name: name.into(), value }).to_vec();
        Steps(steps.to_vec()).keep(values)
    }

    #[test]
    fn each_filter_keeps_what_it_says_and_all_together_what_each_keeps() {
        assert_eq!(kept(&[(Filter::Threshold(0.5), true)]), ["a", "c", "d"]);
        assert_eq!(kept(&[(Filter::Threshold(0.1), false)]), ["b", "e"]);
        assert_eq!(kept(&[(Filter::TopK(2), true)]), ["a", "d"]);
        assert_eq!(kept(&[(Filter::TopK(1), false)]), ["e"]);
        assert_eq!(kept(&[(Filter::TopK(9), true)]).len(), 5);
        assert_eq!(kept(&[(Filter::TopPercentile(0.5), true)]), ["a", "c", "d"]);
        assert_eq!(kept(&[(Filter::TopPercentile(0.9), true)]), ["d"]);
        assert_eq!(kept(&[(Filter::TopPercentile(0.75), false)]), ["b", "e"]);
        assert_eq!(kept(&[(Filter::Threshold(0.1), true), (Filter::Threshold(0.5), false)]), ["a", "b", "c"]);
        assert_eq!(kept(&[]).len(), 5);
    }

    #[test]
    fn a_quantile_lies_on_the_line_between_two_numbers() {
        let values: Vec<Value> = [0.0, 1.0, 5.0].map(|value| Value { name: String::new(), value }).to_vec();
        assert_eq!(
            [0.0, 0.25, 0.5, 0.75, 1.0].map(|share| quantile(&values, share)),
            [0.0, 0.5, 1.0, 3.0, 5.0]
        );
    }
}
