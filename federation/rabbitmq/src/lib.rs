//! The queue on RabbitMQ.
