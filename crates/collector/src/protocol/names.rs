//! Names of events that mean a step of a purchase, whatever tracker sends them.

use clickstream_event::EventType;

/// The kind of an event of that name: the names of Segment's e-commerce specification and their usual variants, in any case and with
/// any signs between the words. All others are clicks.
pub fn kind_of(name: &str) -> EventType {
    let words: Vec<String> = name
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect();
    match words.join(" ").as_str() {
        "product added"
        | "product added to cart"
        | "added to cart"
        | "add to cart"
        | "add to basket"
        | "addtocart" => EventType::AddToCart,
        "order completed" | "purchase" | "purchased" | "transaction" => EventType::Purchase,
        _ => EventType::Click,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_of_a_purchase_by_name() {
        for name in ["Product Added", "product_added", "Add to Cart", "add-to-cart", "addToCart"] {
            assert_eq!(kind_of(name), EventType::AddToCart, "{name}");
        }
        assert_eq!(kind_of("Order Completed"), EventType::Purchase);
        assert_eq!(kind_of("Product Removed"), EventType::Click);
        assert_eq!(kind_of(""), EventType::Click);
    }
}
