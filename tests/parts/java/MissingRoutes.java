import java.util.Collection;
import java.util.List;
import java.util.function.Predicate;
import java.util.function.Supplier;
import org.elasticsearch.Build;
import org.elasticsearch.client.internal.node.NodeClient;
import org.elasticsearch.cluster.metadata.DataStream;
import org.elasticsearch.cluster.metadata.ProjectId;
import org.elasticsearch.cluster.node.DiscoveryNodes;
import org.elasticsearch.cluster.service.ClusterService;
import org.elasticsearch.common.regex.Regex;
import org.elasticsearch.features.NodeFeature;
import org.elasticsearch.plugins.ActionPlugin;
import org.elasticsearch.plugins.Plugin;
import org.elasticsearch.rest.BaseRestHandler;
import org.elasticsearch.rest.RestHandler;
import org.elasticsearch.rest.RestRequest;
import org.elasticsearch.rest.RestResponse;
import org.elasticsearch.rest.RestStatus;
import org.elasticsearch.xcontent.XContentBuilder;

/**
 * Answers two requests whose modules are not on Maven Central: what server this is, and which data streams there are.
 *
 * <p>What a test learns from these says nothing of Elastic's own handlers; data streams themselves are the server's.
 */
public final class MissingRoutes extends Plugin implements ActionPlugin {
    private ClusterService cluster;

    @Override
    public Collection<?> createComponents(PluginServices services) {
        cluster = services.clusterService();
        return List.of();
    }

    @Override
    public Collection<RestHandler> getRestHandlers(
        RestHandlersServices services, Supplier<DiscoveryNodes> nodes, Predicate<NodeFeature> features) {
        return List.of(new Info(), new DataStreams());
    }

    private final class Info extends BaseRestHandler {
        @Override
        public String getName() {
            return "abdrift_tests_info";
        }

        @Override
        public List<Route> routes() {
            return List.of(new Route(RestRequest.Method.GET, "/"), new Route(RestRequest.Method.HEAD, "/"));
        }

        @Override
        protected RestChannelConsumer prepareRequest(RestRequest request, NodeClient client) {
            return channel -> {
                XContentBuilder answer = channel.newBuilder().startObject();
                answer.field("cluster_name", cluster.getClusterName().value());
                answer.startObject("version");
                answer.field("number", Build.current().version());
                answer.field("build_flavor", Build.current().flavor());
                answer.endObject().endObject();
                channel.sendResponse(new RestResponse(RestStatus.OK, answer));
            };
        }
    }

    private final class DataStreams extends BaseRestHandler {
        @Override
        public String getName() {
            return "abdrift_tests_data_streams";
        }

        @Override
        public List<Route> routes() {
            return List.of(new Route(RestRequest.Method.GET, "/_data_stream/{name}"));
        }

        @Override
        protected RestChannelConsumer prepareRequest(RestRequest request, NodeClient client) {
            String pattern = request.param("name");
            return channel -> {
                var known = cluster.state().metadata().getProject(ProjectId.DEFAULT).dataStreams().values();
                XContentBuilder answer = channel.newBuilder().startObject().startArray("data_streams");
                for (DataStream stream : known) {
                    if (Regex.simpleMatch(pattern, stream.getName())) {
                        describe(stream, answer);
                    }
                }
                channel.sendResponse(new RestResponse(RestStatus.OK, answer.endArray().endObject()));
            };
        }

        private void describe(DataStream stream, XContentBuilder answer) throws java.io.IOException {
            answer.startObject().field("name", stream.getName()).startArray("indices");
            for (var index : stream.getIndices()) {
                answer.startObject().field("index_name", index.getName()).endObject();
            }
            answer.endArray().endObject();
        }
    }
}
