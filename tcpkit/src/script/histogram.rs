//! `tcpkit.histogram()`: percentiles of any number of values in little memory.

use hdrhistogram::Histogram;
use mlua::{UserData, UserDataMethods, UserDataRef};

/// Decimals of a value that are kept.
const SCALE: f64 = 1000.0;

/// The largest value, so that it and all its decimals fit.
const MAX: f64 = 9.0e15;

/// Significant digits: percentiles are exact to 1 %.
const DIGITS: u8 = 2;

/// A histogram that a script owns. Values have three decimals, and no unit of their own.
pub(super) struct ScriptHistogram {
    values: Histogram<u64>,
    sum: f64,
    min: f64,
    max: f64,
}

impl ScriptHistogram {
    pub(super) fn new() -> mlua::Result<Self> {
        let values = Histogram::new(DIGITS).map_err(mlua::Error::external)?;
        Ok(Self { values, sum: 0.0, min: f64::INFINITY, max: 0.0 })
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
            *this = Self::new()?;
            Ok(())
        });
    }
}

#[cfg(test)]
mod tests {
    use mlua::Lua;

    use super::*;

    fn lua() -> Lua {
        let lua = Lua::new();
        let make = lua.create_function(|_, ()| ScriptHistogram::new()).expect("a function");
        lua.globals().set("histogram", make).expect("set");
        lua
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
