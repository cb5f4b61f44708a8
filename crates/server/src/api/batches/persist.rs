//! What a batch asks of its store: a full disk holds it up, and loses nothing.

use common::limits;
use store::StoreError;

/// What the store answers, asked until it does. Whoever no longer wants that ends the batch.
pub(super) async fn persist<T, F>(mut ask: impl FnMut() -> F) -> T
where
    F: Future<Output = Result<T, StoreError>>,
{
    let mut is_told = false;
    loop {
        match ask().await {
            Ok(answer) => return answer,
            Err(_) if is_told => {}
            Err(error) => {
                tracing::error!(%error, "a batch waits for the store, which is asked again and again");
                is_told = true;
            }
        }
        tokio::time::sleep(limits::BATCH_LOOK_INTERVAL).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_the_store_does_not_do_is_tried_until_it_does() {
        let mut asked = 0;
        let answer = persist(|| {
            asked += 1;
            std::future::ready(if asked == 2 {
                Ok("kept")
            } else {
                Err(StoreError::Closed)
            })
        });
        assert_eq!(answer.await, "kept");
        assert_eq!(asked, 2);
    }
}
