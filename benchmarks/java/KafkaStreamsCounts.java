import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Properties;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueIterator;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.StoreBuilder;
import org.apache.kafka.streams.state.Stores;

/**
 * Kafka Streams with the job's counts in RocksDB stores, cached and with changelogs, on one thread. What reads a
 * record's value is the subclass's. The Processor API works in place: records are partitioned by cluster already, so
 * nothing is sent through a repartition topic, as the DSL's groupBy would.
 */
abstract class KafkaStreamsCounts implements Processor<byte[], byte[], byte[], byte[]> {
  private static final String TOTALS = "totals";
  private static final String WARNINGS = "warnings";
  private static final List<KafkaStreamsCounts> TASKS = new ArrayList<>();
  private static Counting counting;

  private KeyValueStore<String, Long> totals;
  private KeyValueStore<String, Long> warnings;

  /** Counts a record's rows by `total` and `warning`; returns how many they were. */
  abstract long count(Record<byte[], byte[]> record) throws IOException;

  final void total(String key, long count) {
    add(totals, key, count);
  }

  final void warning(String key, long count) {
    add(warnings, key, count);
  }

  private static void add(KeyValueStore<String, Long> store, String key, long count) {
    Long before = store.get(key);
    store.put(key, before == null ? count : before + count);
  }

  @Override
  public void init(ProcessorContext<byte[], byte[]> context) {
    totals = context.getStateStore(TOTALS);
    warnings = context.getStateStore(WARNINGS);
    TASKS.add(this);
  }

  @Override
  public void process(Record<byte[], byte[]> record) {
    try {
      if (counting.add(count(record))) {
        finish();
      }
    } catch (IOException error) {
      throw new java.io.UncheckedIOException(error);
    }
  }

  /** Leaves what all tasks counted; they share the one thread. */
  private static void finish() throws IOException {
    try (Counting.Lines totals = counting.lines("totals.tsv");
        Counting.Lines warnings = counting.lines("warnings.tsv")) {
      for (KafkaStreamsCounts task : TASKS) {
        write(task.totals, totals);
        write(task.warnings, warnings);
      }
    }
    Counting.done();
  }

  private static void write(KeyValueStore<String, Long> store, Counting.Lines lines) {
    try (KeyValueIterator<String, Long> all = store.all()) {
      all.forEachRemaining(entry -> lines.add(entry.key, entry.value));
    }
  }

  /** Runs it: BOOTSTRAP TOPIC ROWS FOLDER, and the most records of one poll. */
  static void run(String[] arguments, java.util.function.Supplier<KafkaStreamsCounts> processor, int pollRecords) {
    counting = new Counting(Long.parseLong(arguments[2]), arguments[3]);
    Properties settings = new Properties();
    settings.put("application.id", "bench-" + System.nanoTime());
    settings.put("bootstrap.servers", arguments[0]);
    settings.put("state.dir", arguments[3] + "/state");
    settings.put("num.stream.threads", "1");
    settings.put("auto.offset.reset", "earliest");
    settings.put("commit.interval.ms", "5000");
    settings.put("max.poll.records", Integer.toString(pollRecords));
    settings.put("max.partition.fetch.bytes", Integer.toString(9 << 20));

    StreamsBuilder builder = new StreamsBuilder();
    builder.addStateStore(store(TOTALS));
    builder.addStateStore(store(WARNINGS));
    builder.stream(arguments[1], Consumed.with(Serdes.ByteArray(), Serdes.ByteArray()))
        .process(processor::get, TOTALS, WARNINGS);
    KafkaStreams streams = new KafkaStreams(builder.build(), settings);
    streams.setUncaughtExceptionHandler(error -> {
      error.printStackTrace();
      Runtime.getRuntime().halt(1);
      return StreamThreadExceptionResponse.SHUTDOWN_CLIENT;
    });
    streams.start();
  }

  private static StoreBuilder<KeyValueStore<String, Long>> store(String name) {
    return Stores.keyValueStoreBuilder(Stores.persistentKeyValueStore(name), Serdes.String(), Serdes.Long())
        .withCachingEnabled();
  }
}
