//! Shows a view on the terminal, and panics in another thread when somebody presses `q`.

#![allow(clippy::panic, reason = "that is what it is for")]

use std::{sync::Arc, thread, time::Duration};

use tcpkit::{
    pipeline::Control,
    stats::Statistics,
    top::{Mailbox, Sources, Terminal, View},
};

fn main() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let control = Arc::new(Control::default());
    let sources = Sources {
        statistics: Arc::new(Statistics::new(8, None)),
        control: Arc::clone(&control),
        mailbox: Arc::new(Mailbox::new()?),
        runtime: runtime.handle().clone(),
        does: "showing nothing".to_owned(),
        protocols: vec!["none"],
        is_live: true,
        colour: true,
    };
    let view = View::show(Terminal::open()?, sources)?;
    let thread = thread::spawn(move || {
        while !control.is_stopping() {
            thread::park_timeout(Duration::from_millis(1));
        }
        panic!("as it was told to");
    });
    assert!(thread.join().is_err());
    view.end()?;
    Ok(())
}
