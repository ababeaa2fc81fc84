//! Tables in PostgreSQL and MySQL.
