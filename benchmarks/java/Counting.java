import java.io.BufferedWriter;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/** What the Java peers share: how far they are, and where they leave their counts. One thread at a time. */
final class Counting {
  static final long MINUTE_MS = 60_000;
  private static final long EVERY_NS = 100_000_000;
  private static final int LOOK_EVERY = 1_000;

  private final long wanted;
  private final Path folder;
  private long rows;
  private long looked;
  private long toldNs;

  Counting(long wanted, String folder) {
    this.wanted = wanted;
    this.folder = Path.of(folder);
  }

  /** Counts rows, tells of them ten times a second, and returns whether they were the last ones. */
  boolean add(long more) {
    rows += more;
    if (rows < wanted && rows - looked < LOOK_EVERY) {
      return false;
    }
    looked = rows;
    long now = System.nanoTime();
    if (rows >= wanted || now - toldNs >= EVERY_NS) {
      toldNs = now;
      System.out.println("{\"rows\":" + rows + "}");
      System.out.flush();
    }
    return rows >= wanted;
  }

  /** A file of counts, to which a key (tab-separated already) and its count are written as a line each. */
  Lines lines(String name) throws IOException {
    return new Lines(Files.newBufferedWriter(folder.resolve(name)));
  }

  /** Ends the process; what was not closed by now is of no use. */
  static void done() {
    System.out.println("{\"done\":true}");
    System.out.flush();
    Runtime.getRuntime().halt(0);
  }

  /** One file of counts. */
  record Lines(BufferedWriter writer) implements AutoCloseable {
    void add(String key, long count) {
      try {
        writer.write(key + "\t" + count + "\n");
      } catch (IOException error) {
        throw new java.io.UncheckedIOException(error);
      }
    }

    @Override
    public void close() throws IOException {
      writer.close();
    }
  }
}
