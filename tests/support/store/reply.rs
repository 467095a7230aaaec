//! How a request is to be answered: truly, or in any other way.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::proxy::Answer;

/// Makes what is said out of the true answer.
pub type Script = dyn Fn(Answer) -> Vec<Say> + Send + Sync;

/// How a request is to be answered.
#[derive(Clone)]
pub struct Reply {
    /// How much of its body is read before the answer begins; what is left is
    /// read after it, unless the connection ends with it.
    pub read: Part,
    /// Whether and when it is carried out.
    pub act: Act,
    /// What is seen by one that only looks.
    pub view: View,
    /// What is said, made out of the answer of one that carries it out; none is
    /// that answer as it is.
    pub say: Option<Arc<Script>>,
}

/// How much of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// All of it.
    Whole,
    /// The first 4 KiB, or the first half where it is shorter than twice that.
    Begun,
    /// None of it. Such a request can only be carried out [`Act::Never`].
    Nothing,
}

/// Whether and when a request is carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Before it is answered.
    Now,
    /// Not at all.
    Never,
    /// Just before the so manyth request after it (from 1), or by
    /// [`settle`](super::Store::settle).
    Late(usize),
}

/// What is seen by a request that looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// What is there.
    Now,
    /// What was there at a [`moment`](super::Store::moment).
    At(usize),
    /// What was there before that object, or, of a listing, any object, was
    /// last changed.
    Before,
}

/// A step of an answer.
#[derive(Clone, Debug)]
pub enum Say {
    /// These bytes.
    Bytes(Vec<u8>),
    /// These bytes one by one, with so much time in between.
    Drip(Vec<u8>, Duration),
    /// These bytes again and again until the client goes.
    Endless(Vec<u8>),
    /// The same, with so much time in between.
    Trickle(Vec<u8>, Duration),
    /// Nothing until the client goes.
    Silence,
    /// The connection ends in order, once all that was said has arrived.
    Close,
    /// The connection is reset.
    Reset,
}

impl Reply {
    /// As a store should.
    pub fn truth() -> Reply {
        Reply {
            read: Part::Whole,
            act: Act::Now,
            view: View::Now,
            say: None,
        }
    }

    /// This answer, to a request that is not carried out.
    pub fn instead(answer: Answer) -> Reply {
        Reply::truth().act(Act::Never).edit(move |_| answer.clone())
    }

    /// With the true answer changed.
    pub fn edit(self, edit: impl Fn(Answer) -> Answer + Send + Sync + 'static) -> Reply {
        self.say(move |answer| vec![Say::whole(&edit(answer))])
    }

    /// With this said in place of the true answer.
    pub fn say(mut self, say: impl Fn(Answer) -> Vec<Say> + Send + Sync + 'static) -> Reply {
        self.say = Some(Arc::new(say));
        self
    }

    /// With so much of the body read before.
    pub fn read(mut self, read: Part) -> Reply {
        self.read = read;
        self
    }

    /// Carried out then.
    pub fn act(mut self, act: Act) -> Reply {
        self.act = act;
        self
    }

    /// With this seen.
    pub fn view(mut self, view: View) -> Reply {
        self.view = view;
        self
    }
}

impl Say {
    /// An answer, with its body even where the request was a HEAD.
    pub fn whole(answer: &Answer) -> Say {
        Say::Bytes([answer.head(), answer.body.clone()].concat())
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Reply {
            read, act, view, ..
        } = self;
        let said = self.say.is_some();
        write!(f, "{read:?} {act:?} {view:?} {said}")
    }
}
