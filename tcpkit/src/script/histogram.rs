//! `tcpkit.histogram()`: percentiles of any number of values in little memory.

use std::{cell::Cell, rc::Rc};

use hdrhistogram::Histogram;
use mlua::{Lua, UserData, UserDataMethods, UserDataRef};

/// Decimals of a value that are kept.
const SCALE: f64 = 1000.0;

/// The largest value, so that it and all its decimals fit.
const MAX: f64 = 9.0e15;

/// Significant digits: percentiles are exact to 1 %.
const DIGITS: u8 = 2;

/// What the largest takes, in bytes: 57 powers of two with 128 counts of 8 bytes each, and a bit.
const BYTES: usize = 60 * 1024;

/// How much is made before those that nobody keeps are looked for, in bytes: the virtual machine does not
/// see how large they are.
const UNSEEN_BYTES: usize = 16 << 20;

/// What all histograms of a script take together.
#[derive(Clone)]
pub(super) struct HistogramMemory {
    used: Rc<Cell<usize>>,
    made: Rc<Cell<usize>>,
    limit: usize,
}

impl HistogramMemory {
    /// At most `limit` bytes; 0 for any number.
    pub(super) fn new(limit: usize) -> Self {
        Self { used: Rc::default(), made: Rc::default(), limit }
    }

    /// A new histogram.
    pub(super) fn histogram(&self, lua: &Lua) -> mlua::Result<ScriptHistogram> {
        let is_over = || self.limit > 0 && self.used.get().saturating_add(BYTES) > self.limit;
        if is_over() || self.made.get() > UNSEEN_BYTES {
            self.made.set(0);
            lua.gc_collect()?;
        }
        if is_over() {
            return Err(mlua::Error::MemoryError("histograms".to_owned()));
        }
        self.made.set(self.made.get().saturating_add(BYTES));
        self.used.set(self.used.get().saturating_add(BYTES));
        ScriptHistogram::new(Share(Rc::clone(&self.used)))
    }
}

/// One histogram's share of the memory; given back with it.
struct Share(Rc<Cell<usize>>);

impl Drop for Share {
    fn drop(&mut self) {
        self.0.set(self.0.get().saturating_sub(BYTES));
    }
}

/// A histogram that a script owns. Values have three decimals, and no unit of their own.
pub(super) struct ScriptHistogram {
    values: Histogram<u64>,
    sum: f64,
    min: f64,
    max: f64,
    _share: Share,
}

impl ScriptHistogram {
    fn new(share: Share) -> mlua::Result<Self> {
        let values = Histogram::new(DIGITS).map_err(mlua::Error::external)?;
        Ok(Self { values, sum: 0.0, min: f64::INFINITY, max: 0.0, _share: share })
    }

    fn record(&mut self, value: f64, count: u64) -> mlua::Result<()> {
        if !(0.0..=MAX).contains(&value) {
            return Err(mlua::Error::runtime(format!(
                "a histogram takes numbers from 0 to {MAX:e}, not {value}"
            )));
        }
        if count == 0 {
            return Ok(());
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the range was checked"
        )]
        let scaled = (value * SCALE).round() as u64;
        self.values.record_n(scaled, count).map_err(mlua::Error::external)?;
        self.sum += value * count as f64;
        self.min = self.min.min(value);
        self.max = self.max.max(value);
        Ok(())
    }

    fn percentile(&self, percent: f64) -> mlua::Result<Option<f64>> {
        if !(0.0..=100.0).contains(&percent) {
            return Err(mlua::Error::runtime(format!(
                "a percentile is from 0 to 100, not {percent}"
            )));
        }
        if self.values.is_empty() {
            return Ok(None);
        }
        let value = self.values.value_at_quantile(percent / 100.0) as f64 / SCALE;
        // The bounds are known better than by the place that they fall on.
        Ok(Some(value.clamp(self.min, self.max)))
    }

    fn known<T>(&self, value: T) -> Option<T> {
        (!self.values.is_empty()).then_some(value)
    }
}

impl UserData for ScriptHistogram {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_method_mut("record", |_, this, (value, count): (f64, Option<u64>)| {
            this.record(value, count.unwrap_or(1))
        });
        methods.add_method("percentile", |_, this, percent: f64| this.percentile(percent));
        methods.add_method("count", |_, this, ()| Ok(this.values.len()));
        methods.add_method("min", |_, this, ()| Ok(this.known(this.min)));
        methods.add_method("max", |_, this, ()| Ok(this.known(this.max)));
        methods.add_method("sum", |_, this, ()| Ok(this.sum));
        methods
            .add_method("mean", |_, this, ()| Ok(this.known(this.sum / this.values.len() as f64)));
        methods.add_method_mut("merge", |_, this, other: UserDataRef<Self>| {
            this.values.add(&other.values).map_err(mlua::Error::external)?;
            this.sum += other.sum;
            this.min = this.min.min(other.min);
            this.max = this.max.max(other.max);
            Ok(())
        });
        methods.add_method_mut("reset", |_, this, ()| {
            this.values.reset();
            (this.sum, this.min, this.max) = (0.0, f64::INFINITY, 0.0);
            Ok(())
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lua() -> Lua {
        let lua = Lua::new();
        let memory = HistogramMemory::new(1 << 20);
        let make = lua.create_function(move |lua, ()| memory.histogram(lua)).expect("a function");
        lua.globals().set("histogram", make).expect("set");
        lua
    }

    #[test]
    fn what_nobody_keeps_makes_room_and_what_is_kept_has_a_bound() {
        let lua = lua();
        lua.load("for i = 1, 1000 do histogram():record(9e15) end").exec().expect("room");
        let kept = lua.load("kept = {} for i = 1, 1000 do kept[i] = histogram() end").exec();
        assert!(kept.expect_err("too many").to_string().contains("histograms"));
        let count: usize = lua.load("return #kept").eval().expect("a number");
        assert_eq!(count, (1 << 20) / BYTES);
    }

    #[test]
    fn the_largest_takes_what_is_counted() {
        let memory = HistogramMemory::new(0);
        let mut it = memory.histogram(&Lua::new()).expect("a histogram");
        it.record(MAX, 1).expect("in range");
        assert!(it.values.distinct_values() * 8 + 1024 <= BYTES);
    }

    #[test]
    fn percentiles_are_exact_to_a_hundredth() {
        lua()
            .load(
                r#"
                local h = histogram()
                assert(h:count() == 0 and h:percentile(50) == nil and h:mean() == nil)
                assert(h:min() == nil and h:max() == nil and h:sum() == 0)
                for i = 1, 1000 do h:record(i / 10) end
                assert(h:count() == 1000 and h:min() == 0.1 and h:max() == 100)
                for _, p in ipairs { 1, 25, 50, 90, 99, 99.9, 100 } do
                    local is, should = h:percentile(p), p
                    assert(math.abs(is - should) <= should / 100 + 1e-9, p .. ": " .. is)
                end
                assert(math.abs(h:mean() - 50.05) < 1e-9)
                local other = histogram()
                other:record(1e9, 3)
                h:merge(other)
                assert(h:count() == 1003 and h:max() == 1e9)
                h:reset()
                assert(h:count() == 0)
                assert(not pcall(h.record, h, -1) and not pcall(h.percentile, h, 101))
                "#,
            )
            .exec()
            .expect("the histogram keeps its word");
    }
}
