import java.io.IOException;
import org.apache.kafka.streams.processor.api.Record;

/** Kafka Streams as people use it: one JSON record an event. */
final class KafkaStreamsJson extends KafkaStreamsCounts {
  private static final int POLL_RECORDS = 10_000;

  public static void main(String[] arguments) {
    run(arguments, KafkaStreamsJson::new, POLL_RECORDS);
  }

  @Override
  long count(Record<byte[], byte[]> record) throws IOException {
    Event.Data data = Event.read(record.value());
    total(Event.total(data), data.count);
    if (data.type.equals("Warning")) {
      warning(Event.warning(data), data.count);
    }
    return 1;
  }
}
