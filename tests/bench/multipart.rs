//! Multipart uploads, as far as the peers need them: begun, filled, completed,
//! aborted. Only the lengths of the parts are kept.
//!
//! What does not fit (an upload or a part that nobody began) is refused as S3
//! refuses it.

use std::collections::{BTreeMap, HashMap};

use crate::http::{Answer, Request};

/// The uploads that are under way.
#[derive(Default)]
pub struct Multipart {
    begun: u64,
    /// By their id: the key, and the parts' lengths by number.
    uploads: HashMap<String, (String, BTreeMap<u32, u64>)>,
}

impl Multipart {
    /// CreateMultipartUpload.
    pub fn create(&mut self, request: &Request) -> Answer {
        self.begun += 1;
        let (key, id) = (&request.key, format!("upload-{}", self.begun));
        let text = format!(
            "<InitiateMultipartUploadResult><Bucket>bench</Bucket><Key>{key}</Key>\
             <UploadId>{id}</UploadId></InitiateMultipartUploadResult>"
        );
        self.uploads.insert(id, (key.clone(), BTreeMap::new()));
        Answer::xml("200 OK", &text)
    }

    /// UploadPart, whose body of `length` bytes has been thrown away.
    pub fn part(&mut self, request: &Request, length: u64) -> Answer {
        let number = request.parameter("partNumber");
        let number = number.and_then(|n| n.parse().ok());
        let (Some(parts), Some(number)) = (self.parts(request), number) else {
            return no_such_upload();
        };
        parts.insert(number, length);
        // The hyphen says that it is no MD5, which would cost too much here.
        Answer::new("200 OK", "").with(&format!("etag: \"part-{number}\""))
    }

    /// CompleteMultipartUpload: the object's length, or an error.
    pub fn complete(&mut self, request: &Request, body: &[u8]) -> Result<u64, Answer> {
        let parts = self.parts(request).ok_or_else(no_such_upload)?;
        let text = String::from_utf8_lossy(body);
        let mut length = 0;
        for number in text.split("<PartNumber>").skip(1) {
            let number = number.split('<').next().and_then(|n| n.trim().parse().ok());
            let part = number.and_then(|n: u32| parts.remove(&n));
            length += part.ok_or_else(|| Answer::error("400 Bad Request", "InvalidPart"))?;
        }
        self.abort(request);
        Ok(length)
    }

    /// AbortMultipartUpload.
    pub fn abort(&mut self, request: &Request) -> Answer {
        if let Some(id) = request.parameter("uploadId") {
            self.uploads.remove(&id);
        }
        Answer::new("204 No Content", "")
    }

    fn parts(&mut self, request: &Request) -> Option<&mut BTreeMap<u32, u64>> {
        let upload = self.uploads.get_mut(&request.parameter("uploadId")?)?;
        (upload.0 == request.key).then_some(&mut upload.1)
    }
}

fn no_such_upload() -> Answer {
    Answer::error("404 Not Found", "NoSuchUpload")
}
