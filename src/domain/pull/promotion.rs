//! A channel that is moved by word of somebody in the pull request.

use super::commands::Order;
use super::{PullBuild, Thread};
use crate::domain::command::PromoteTo;
use crate::domain::deployment::Asker;
use crate::domain::event::{Event, Key, PromotionTarget};
use crate::domain::forge::{HeadOrigin, Reaction};
use crate::domain::ids::{ChannelName, ModelName};
use crate::domain::report::{self, NotPromoted};

impl Thread<'_> {
    /// Asks for the channel to be moved to the pull request's own version, or back. What else may be against it is
    /// found when it is done.
    pub(super) fn promote(&mut self, order: &Order<'_>, model: &ModelName, channel: &ChannelName, to: PromoteTo) {
        let target = match to {
            PromoteTo::Previous => PromotionTarget::Previous,
            PromoteTo::Own => match self.own_version(model) {
                Ok(target) => target,
                Err(why) => {
                    let body = report::not_promoted(model, channel, &why);
                    self.react(order.given, Reaction::Refused);
                    self.reply(order, &body);
                    return;
                }
            },
        };
        let pull = self.at.pull;
        let event = Event::PromotionRequested {
            // One comment moves a channel once, whatever happens on the way.
            request: format!("comment/{}/{}/{}", pull.repository.id, order.given.mark(), order.nth),
            channel: channel.clone(),
            target,
            by: format!("{} in #{}", order.author.login, pull.number),
            asker: Asker::Pull { pull: pull.clone(), given: order.given.clone(), nth: order.nth },
        };
        self.decision.tell(Key::Model(model.clone()), event);
    }

    fn own_version(&self, model: &ModelName) -> Result<PromotionTarget, NotPromoted<'_>> {
        if self.state.snapshot.origin == HeadOrigin::Fork {
            return Err(NotPromoted::Fork);
        }
        let unknown = || NotPromoted::NotChanged { changed: self.state.models.keys().collect() };
        let entry = self.state.models.get(model).ok_or_else(unknown)?;
        match &entry.build {
            PullBuild::Ready { version } => Ok(PromotionTarget::Version(version.id.clone())),
            PullBuild::Building | PullBuild::Left { .. } => Err(NotPromoted::Building { commit: &entry.source.commit }),
            PullBuild::Failed { failure } => Err(NotPromoted::Failed { stage: &failure.stage }),
            PullBuild::Untrusted => Err(NotPromoted::Fork),
        }
    }
}
