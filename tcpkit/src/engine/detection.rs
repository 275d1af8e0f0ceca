//! Finds out what a connection speaks, and thinks again when that turns out to be wrong.

use super::{
    shared::{Fate, Shared, State},
    undecided::{Decision, Event, Roles, Undecided},
};
use crate::{
    flow::{
        FlowKey, Side, StreamEvent,
        role::{self, Certainty, Evidence, Hints, Role},
    },
    packet::Endpoint,
    protocol::selection::Candidates,
    transaction::{Conversation, Emit},
};

/// So often a connection may turn out to speak something else than was thought.
const MAX_MISTAKES: u8 = 3;

impl<H: Hints> Shared<H> {
    /// Counts what was kept of a connection and will not be read.
    #[cold]
    pub(super) fn count_unread(&mut self, events: Vec<(Side, Event)>, fate: Fate) {
        for (side, event) in events {
            self.count_event(side == Side::Low, &event.event(), fate);
        }
    }

    pub(super) fn call_foreign(&mut self, state: &mut State) {
        self.ledger.flows.foreign += u64::from(!std::mem::replace(&mut state.foreign, true));
    }

    /// What a connection may speak, one of whose ends is the server; nothing, where that is the agent.
    pub(super) fn candidates<const N: usize>(&self, ends: &[&Endpoint; N]) -> Candidates {
        match ends.iter().any(|end| self.hints.is_own(end)) {
            true => Candidates::default(),
            false => self.selection.candidates(&ends.map(Endpoint::port)),
        }
    }

    /// The first that is seen of a connection that was open before.
    #[inline(never)]
    pub(super) fn begin(&mut self, key: &FlowKey, state: &mut State) {
        if state.role.is_some() || state.foreign || state.undecided.is_some() {
            return;
        }
        let candidates = self.candidates(&[key.endpoint(Side::Low), key.endpoint(Side::High)]);
        self.ledger.flows.midstream += 1;
        match self.selection.decided(candidates) {
            Some(at) => {
                let protocol = self.selection.protocol(at);
                state.protocol = at;
                state.conversation = Some(Conversation::midstream(protocol));
            }
            None if candidates.is_empty() => self.call_foreign(state),
            None => state.undecided = Some(Box::new(Undecided::new(candidates, false))),
        }
    }

    /// Goes on finding out what a connection speaks.
    #[inline(never)]
    pub(super) fn detect(
        &mut self,
        key: &FlowKey,
        state: &mut State,
        side: Side,
        event: &StreamEvent<'_>,
        emit: &mut Emit<'_>,
    ) {
        let roles = self.roles(key, state);
        let Some(undecided) = &mut state.undecided else { return };
        let decision = undecided.take(side, event, &self.selection, roles);
        self.settle(key, state, decision, emit);
    }

    /// Who may be the client of a connection that is not decided.
    pub(super) fn roles(&self, key: &FlowKey, state: &State) -> Roles {
        let role = state.role.unwrap_or_else(|| role::infer(key, Evidence::None, &self.hints));
        Roles { likely: role.client, certain: role.certainty > Certainty::Guess }
    }

    /// Does what was decided.
    pub(super) fn settle(
        &mut self,
        key: &FlowKey,
        state: &mut State,
        decision: Decision,
        emit: &mut Emit<'_>,
    ) {
        let (at, client) = match decision {
            Decision::Wait => return,
            Decision::Again => {
                let unread = state.undecided.as_mut().map(|it| it.again()).unwrap_or_default();
                self.count_unread(unread, Fate::Unread);
                return;
            }
            Decision::Nothing => {
                let unread = state.undecided.take().map(|it| it.into_events());
                self.count_unread(unread.unwrap_or_default(), Fate::Foreign);
                self.call_foreign(state);
                return;
            }
            Decision::Speaks { protocol, client } => (protocol, client),
        };
        let Some(undecided) = state.undecided.take() else { return };
        let protocol = self.selection.protocol(at);
        state.protocol = at;
        let certainty = match state.role {
            Some(role) => role.certainty,
            None => role::infer(key, Evidence::None, &self.hints).certainty,
        };
        state.role = Some(Role { client, certainty });
        state.conversation = Some(match undecided.is_from_handshake() {
            true => Conversation::from_handshake(protocol),
            false => Conversation::midstream(protocol),
        });
        for (side, event) in undecided.into_events() {
            self.on_event(key, state, side, &event.event(), emit);
        }
    }

    /// What a connection says is not what it was taken for.
    #[cold]
    pub(super) fn doubt(
        &mut self,
        key: &FlowKey,
        state: &mut State,
        role: Role,
        emit: &mut Emit<'_>,
    ) {
        let port = key.endpoint(role.client.peer()).port();
        let candidates = self.selection.candidates(&[port]);
        if self.selection.decided(candidates).is_some() || state.mistakes >= MAX_MISTAKES {
            return;
        }
        state.mistakes = state.mistakes.saturating_add(1);
        self.ledger.flows.protocols_corrected += 1;
        if let Some(mut talk) = state.conversation.take() {
            talk.abandon(&mut self.context(key, state.protocol, role, emit));
        }
        state.undecided = Some(Box::new(Undecided::new(candidates, false)));
    }
}
