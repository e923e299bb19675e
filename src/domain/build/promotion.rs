//! Channels that people move, and who is told that a channel moved.

use super::{AwaitedPromotion, Builds, PromotionAnswer};
use crate::domain::decision::Due;
use crate::domain::deployment::{Asker, DeploymentState, Promotion};
use crate::domain::effect::Effect;
use crate::domain::event::{Event, Key, PromotionTarget};
use crate::domain::ids::{ChannelName, VersionId};
use crate::domain::notice::Notice;
use crate::domain::version::{ChannelMove, Version};

/// Of how many channels is it remembered what was told of them?
const CHANNELS_KEPT: usize = 200;

/// Somebody's wish for a channel.
pub(super) struct Wish<'a> {
    pub(super) request: &'a str,
    pub(super) channel: &'a ChannelName,
    pub(super) target: &'a PromotionTarget,
    pub(super) by: &'a str,
    pub(super) asker: &'a Asker,
}

impl Builds<'_> {
    pub(super) fn promotion_requested(&mut self, wish: &Wish<'_>) {
        let Wish { request, channel, target, by, asker } = *wish;
        if let Asker::Deployment { id, .. } = asker {
            let newest = self.state.deployed.entry(channel.clone()).or_insert(*id);
            if *newest > *id {
                let reason = format!("deployment {newest} to the same environment is newer");
                self.answer(asker, channel, Err(reason));
                return;
            }
            *newest = *id;
            forget_oldest(&mut self.state.deployed);
        }
        if *asker != Asker::Terminal {
            let awaited = AwaitedPromotion { channel: channel.clone(), asker: asker.clone() };
            self.state.promotions.insert(request.to_owned(), awaited);
        }
        self.decision.ask(Effect::MoveChannel {
            request: request.to_owned(),
            model: self.model.clone(),
            channel: channel.clone(),
            target: target.clone(),
            reason: match target {
                PromotionTarget::Version(_) => format!("promoted by {by}"),
                PromotionTarget::Previous => format!("rolled back by {by}"),
            },
            asker: asker.clone(),
        });
    }

    pub(super) fn promotion_answered(
        &mut self,
        request: &str,
        channel: &ChannelName,
        result: &Result<VersionId, String>,
        moved: Option<&ChannelMove>,
    ) {
        if let (true, Ok(version)) = (*channel == ChannelName::production(), result) {
            self.state.production = Some(version.clone());
        }
        self.state.promotion = Some(PromotionAnswer { request: request.to_owned(), result: result.clone() });
        let asker = self.state.promotions.remove(request).map_or(Asker::Terminal, |awaited| awaited.asker);
        let outcome = match (result, moved) {
            (Ok(_), Some(moved)) if self.is_told(moved) => Ok(Promotion::Stood(moved.clone())),
            (Ok(_), Some(moved)) => {
                self.tell_of_move(moved, &asker);
                if *channel == ChannelName::production() {
                    self.leave_production();
                }
                Ok(Promotion::Moved(moved.clone()))
            }
            (Ok(version), None) => Err(format!("it points to version {version}, and nothing else is known")),
            (Err(reason), _) => Err(reason.clone()),
        };
        self.answer(&asker, channel, outcome);
    }

    pub(super) fn promotion_failed(&mut self, request: &str, reason: &str) {
        let failed = format!("this is not your fault: {reason}");
        self.state.promotion = Some(PromotionAnswer { request: request.to_owned(), result: Err(failed.clone()) });
        let Some(AwaitedPromotion { channel, asker }) = self.state.promotions.remove(request) else { return };
        match asker {
            Asker::Deployment { repository, id, .. } => self.decision.ask(Effect::AnswerDeployment {
                repository,
                id,
                state: DeploymentState::Error,
                description: failed,
                deployed: None,
            }),
            asker => self.answer(&asker, &channel, Err(failed)),
        }
    }

    /// Tells of a version and of the channels that follow it for good. Branches, tags and pull requests move often and
    /// are nobody's deployments.
    pub(super) fn tell_of_version(&mut self, version: &Version, moves: &[ChannelMove], is_new: bool) {
        if is_new {
            let notices = Notice::registered(version).for_everybody(self.rules);
            notices.into_iter().for_each(|notice| self.decision.ask(notice));
        }
        let fixed = [ChannelName::staging(), ChannelName::production()];
        for moved in moves.iter().filter(|moved| fixed.contains(&moved.channel)) {
            if !self.is_told(moved) {
                self.tell_of_move(moved, &Asker::Terminal);
            }
        }
    }

    /// Whether that move is the one that was told of last.
    fn is_told(&self, moved: &ChannelMove) -> bool {
        self.state.told.get(&moved.channel) == Some(&moved.at)
    }

    /// Tells of a move. Answers come in any order, so the channel may have moved on since and that be told already: this
    /// one happened all the same, but it is not what stands there.
    fn tell_of_move(&mut self, moved: &ChannelMove, asker: &Asker) {
        let stands = self.state.told.get(&moved.channel).is_none_or(|told| *told < moved.at);
        if stands {
            self.state.told.insert(moved.channel.clone(), moved.at);
            forget_oldest(&mut self.state.told);
        }
        // A deployment that asked for it is there already, and is answered.
        if stands && !matches!(asker, Asker::Deployment { .. }) {
            let effect = Effect::RecordDeployment { moved: moved.clone() };
            let coalesce = Some(format!("deployment/{}/{}", moved.model, moved.channel));
            self.decision.ask(Due { effect, not_before: None, coalesce });
        }
        let notices = Notice::Promoted { moved: moved.clone() }.for_everybody(self.rules);
        notices.into_iter().for_each(|notice| self.decision.ask(notice));
    }

    /// Answers whoever waits.
    fn answer(&mut self, asker: &Asker, channel: &ChannelName, result: Result<Promotion, String>) {
        match asker {
            Asker::Terminal => {}
            Asker::Pull { pull, given, nth } => self.decision.tell(
                Key::Pull(pull.clone()),
                Event::PromotionSettled {
                    given: given.clone(),
                    nth: *nth,
                    model: self.model.clone(),
                    channel: channel.clone(),
                    result,
                },
            ),
            Asker::Deployment { repository, id, .. } => {
                let (state, description) = match result {
                    Ok(Promotion::Moved(moved)) => {
                        (DeploymentState::Success, format!("{channel} of {} is version {}", self.model, moved.version))
                    }
                    Ok(Promotion::Stood(moved)) => (
                        DeploymentState::Success,
                        format!("{channel} of {} was version {} already", self.model, moved.version),
                    ),
                    Err(reason) => (DeploymentState::Failure, reason),
                };
                self.decision.ask(Effect::AnswerDeployment {
                    repository: repository.clone(),
                    id: *id,
                    state,
                    description,
                    deployed: (state == DeploymentState::Success).then(|| self.model.clone()),
                });
            }
        }
    }
}

/// Keeps a map of channels bounded: what happened longest ago goes.
fn forget_oldest<T: Ord + Copy>(of_channels: &mut std::collections::BTreeMap<ChannelName, T>) {
    if of_channels.len() > CHANNELS_KEPT
        && let Some(oldest) = of_channels.iter().min_by_key(|(_, value)| **value).map(|(name, _)| name.clone())
    {
        of_channels.remove(&oldest);
    }
}
