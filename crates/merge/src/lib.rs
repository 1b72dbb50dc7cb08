//! Server-side apply: field sets, managed fields and structured merge.
