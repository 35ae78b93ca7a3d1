//! Which samples of an axis are computed: the cheapest that keep what was promised.

use super::candidate::{self, Candidate};
use super::errors::Errors;
use super::filters::FilterBank;
use super::sums::{By, Sums};
use super::table::{Signal, Table};
use crate::engine::LoopOrder;
use crate::{Axis, Backward, Forward, Geometry, Real, Taps};
use std::rc::Rc;

/// How much larger than the tolerance the error of ∂α and ∂σ may be, relative to their own measures. The highest
/// order by itself, and still more the derivatives by σ, which reach two orders higher, weigh the edge where
/// the filters are cut more than the layer as a whole does.
pub(super) const GRADIENT_FACTOR: f64 = 10.0;

/// The part of the ordinary work that must go away for a plan to be worth it.
const WORTH: f64 = 0.1;

/// An estimate of an error may be this many times too large before a plan is not looked at any further.
const ESTIMATE: f64 = 1.25;

/// Both axes of a pass.
#[derive(Debug)]
pub(super) struct BandPlan {
    pub(super) y: Candidate,
    pub(super) x: Candidate,
}

impl BandPlan {
    /// For a checked call; `None` where no spacing keeps the tolerance or none saves work.
    pub(super) fn forward<T: Real>(geometry: &Geometry, call: &Forward<'_, T>, tolerance: f64) -> Option<Self> {
        let search = Search::new(geometry, call.taps, None, tolerance)?;
        let [y_bank, x_bank] = search.banks();
        let sums = Sums::new(geometry, call.alpha, y_bank, x_bank, By::Output);
        let most = tolerance * sums.norm();
        search.cheapest(|y, x, more| sums.error(&y.outputs, &x.outputs) <= more * most)
    }

    /// For a checked call, as [`forward`](Self::forward): every gradient that is wanted keeps its bound.
    pub(super) fn backward<T: Real>(geometry: &Geometry, call: &Backward<'_, T>, tolerance: f64) -> Option<Self> {
        let wanted = call.wanted;
        if !(wanted.x || wanted.alpha || wanted.sigma) {
            return None;
        }
        let search = Search::new(geometry, call.taps, call.d_taps.filter(|_| wanted.sigma), tolerance)?;
        let [y_bank, x_bank] = search.banks();
        let [d_y_bank, d_x_bank] = search.tangents();
        let sums = |left, right, by| Sums::new(geometry, call.alpha, left, right, by);
        let by_x = wanted.x.then(|| sums(y_bank, x_bank, By::Input));
        let by_sigma = wanted.sigma.then(|| [sums(d_y_bank, x_bank, By::Output), sums(y_bank, d_x_bank, By::Output)]);
        search.cheapest(|y, x, more| {
            let (tolerance, gradient) = (more * tolerance, more * GRADIENT_FACTOR * tolerance);
            let alpha = || {
                let (y, x) = (y_bank.worst(&y.outputs), x_bank.worst(&x.outputs));
                y + x + y * x <= gradient
            };
            let input = |sums: &Sums| sums.error(&y.inputs, &x.inputs) <= tolerance * sums.norm();
            let sigma = |[along_y, along_x]: &[Sums; 2]| {
                along_y.error(&y.tangents, &x.outputs) <= gradient * along_y.norm()
                    && along_x.error(&y.outputs, &x.tangents) <= gradient * along_x.norm()
            };
            (!wanted.alpha || alpha()) && by_x.as_ref().is_none_or(input) && by_sigma.as_ref().is_none_or(sigma)
        })
    }

    /// The layer of the samples.
    pub(super) fn coarse(&self, geometry: &Geometry) -> Geometry {
        coarse(geometry, &self.y, &self.x)
    }

    /// Pixels between samples along y and x.
    pub(super) fn spacing(&self) -> [usize; 2] {
        [self.y.spacing, self.x.spacing]
    }
}

/// The filters of one axis and the ways to compute it.
struct Axes<'a> {
    axis: &'a Axis,
    filters: FilterBank,
    tangents: Option<FilterBank>,
    candidates: Vec<Candidate>,
}

impl<'a> Axes<'a> {
    fn new<T: Real>(axis: &'a Axis, orders: usize, taps: &[T], d_taps: Option<&[T]>) -> Self {
        let filters = FilterBank::new(taps, orders);
        let tangents = d_taps.map(|taps| FilterBank::new(taps, orders));
        Self { axis, filters, tangents, candidates: vec![Candidate::whole(axis, orders)] }
    }

    /// Adds what the tables offer.
    fn extend(&mut self, tables: &[Vec<Rc<Table>>]) {
        for (tables, spacing) in tables.iter().zip(2..) {
            self.candidates.extend(candidate::with_spacing(
                self.axis,
                &self.filters,
                self.tangents.as_ref(),
                tables,
                spacing,
            ));
        }
    }

    fn tables(&self, tolerance: f64, round: fn(f64) -> f64) -> Vec<Vec<Rc<Table>>> {
        let largest = candidate::largest_spacing(&self.filters);
        if largest < 2 {
            return Vec::new();
        }
        let autocorrelation = self.filters.autocorrelation(candidate::lags(largest));
        let (filters, tangents) = (&self.filters, self.tangents.as_ref());
        let signal = Signal { filters, tangents, autocorrelation: &autocorrelation, round };
        (2..=largest).map(|spacing| candidate::tables(&signal, spacing, tolerance)).collect()
    }

    fn exact<'c>(&self, candidate: &'c Candidate) -> Option<&'c Errors> {
        candidate.exact(self.axis, &self.filters, self.tangents.as_ref())
    }
}

/// All plans of a layer.
struct Search<'a> {
    geometry: &'a Geometry,
    y: Axes<'a>,
    x: Axes<'a>,
}

impl<'a> Search<'a> {
    /// `None` where neither axis can be computed from samples, or where the filters differ from channel to channel or
    /// from output to output.
    fn new<T: Real>(
        geometry: &'a Geometry,
        taps: Taps<'_, T>,
        d_taps: Option<Taps<'_, T>>,
        tolerance: f64,
    ) -> Option<Self> {
        if geometry.sets() > 1 || geometry.is_centred() {
            return None;
        }
        let orders = geometry.order + 1;
        let mut y = Axes::new(&geometry.y, orders, taps.y, d_taps.map(|d| d.y));
        let mut x = Axes::new(&geometry.x, orders, taps.x, d_taps.map(|d| d.x));
        let round: fn(f64) -> f64 = |weight| T::from_f64(weight).to_f64();
        let tables = y.tables(tolerance, round);
        y.extend(&tables);
        if y.filters == x.filters && y.tangents == x.tangents {
            x.extend(&tables);
        } else {
            x.extend(&x.tables(tolerance, round));
        }
        (y.candidates.len() + x.candidates.len() > 2).then_some(Self { geometry, y, x })
    }

    fn banks(&self) -> [&FilterBank; 2] {
        [&self.y.filters, &self.x.filters]
    }

    /// The derivatives by σ; the filters themselves where there are none.
    fn tangents(&self) -> [&FilterBank; 2] {
        [&self.y, &self.x].map(|axis| axis.tangents.as_ref().unwrap_or(&axis.filters))
    }

    /// The plan with the least work of those that `accept` takes, if it saves enough. `accept` is given the errors of
    /// both axes and a factor on what is allowed: first for estimates, then for the errors as they are.
    fn cheapest(&self, accept: impl Fn(&Errors, &Errors, f64) -> bool) -> Option<BandPlan> {
        let most = (1.0 - WORTH) * LoopOrder::cheaper(self.geometry).cost(self.geometry);
        let mut pairs = Vec::new();
        for y in &self.y.candidates {
            pairs.extend(self.x.candidates.iter().map(|x| (cost(self.geometry, y, x), y, x)));
        }
        pairs.retain(|(cost, ..)| *cost <= most);
        pairs.sort_by(|a, b| a.0.total_cmp(&b.0));
        let (_, y, x) = pairs.into_iter().find(|(_, y, x)| {
            accept(&y.estimate, &x.estimate, ESTIMATE)
                && self.y.exact(y).zip(self.x.exact(x)).is_some_and(|(y, x)| accept(y, x, 1.0))
        })?;
        Some(BandPlan { y: y.clone(), x: x.clone() })
    }
}

/// Multiply-adds for each image: the layer of the samples, and both interpolations, along x on the fewer rows.
fn cost(geometry: &Geometry, y: &Candidate, x: &Candidate) -> f64 {
    let coarse = coarse(geometry, y, x);
    let plane = |rows: usize, whole: [usize; 2]| whole[1] * (rows * x.interpolator() + whole[0] * y.interpolator());
    let pixels = geometry.channels_in() * plane(coarse.y.input, [geometry.y.input, geometry.x.input]);
    let outputs = geometry.channels_out() * plane(coarse.y.output, [geometry.y.output, geometry.x.output]);
    LoopOrder::cheaper(&coarse).cost(&coarse) + (pixels + outputs) as f64
}

fn coarse(geometry: &Geometry, y: &Candidate, x: &Candidate) -> Geometry {
    Geometry { y: y.coarse, x: x.coarse, ..*geometry }
}
