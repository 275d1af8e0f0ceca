//! Tests of the decoder as a whole, through a driver that does what the stream layer does.
