package main

import (
	"bytes"
	"context"
	"encoding/json"
	"sync"

	"github.com/argoproj/argo-cd/gitops-engine/pkg/diff"
	"github.com/argoproj/argo-cd/gitops-engine/pkg/diff/testdata"
	"github.com/fluxcd/pkg/ssa/jsondiff"
	"github.com/go-logr/logr"
	openapi_v2 "github.com/google/gnostic-models/openapiv2"
	wi2l "github.com/wI2L/jsondiff"
	"google.golang.org/protobuf/proto"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/managedfields"
	openapiproto "k8s.io/kube-openapi/pkg/util/proto"
)

const argoManager = "argocd-controller"

// ignoring removes what Argo CD's own normalizer removes: the ignored pointers, and status unless asked otherwise.
type ignoring struct{ paths []string }

func (n ignoring) Normalize(u *unstructured.Unstructured) error {
	unstructured.RemoveNestedField(u.Object, "status")
	return jsondiff.ApplyPatchToUnstructured(u, jsondiff.GenerateRemovePatch(n.paths...))
}

// gvkParser knows built-in types from an API server's published document; an unknown kind has no type in it.
var gvkParser = sync.OnceValue(func() *managedfields.GvkParser {
	document := &openapi_v2.Document{}
	if err := proto.Unmarshal(testdata.OpenAPIV2Doc, document); err != nil {
		panic(err)
	}
	models, err := openapiproto.NewOpenAPIData(document)
	if err != nil {
		panic(err)
	}
	parser, err := managedfields.NewGVKParser(models, false)
	if err != nil {
		panic(err)
	}
	return parser
})

func manager(q question, otherwise string) string {
	if q.Options.Manager != "" {
		return q.Options.Manager
	}
	return otherwise
}

func argoClientSide(q question) verdict { return argo(q) }

func argoStructuredMerge(q question) verdict {
	return argo(q,
		diff.WithStructuredMergeDiff(true),
		diff.WithGVKParser(gvkParser()),
		diff.WithManager(manager(q, argoManager)))
}

// dryRun answers as the API server did when it was asked.
type dryRun struct{ predicted map[string]any }

func (d dryRun) Run(context.Context, *unstructured.Unstructured, string) (string, error) {
	raw, err := json.Marshal(d.predicted)
	return string(raw), err
}

func argoServerSide(q question) verdict {
	return argo(q,
		diff.WithServerSideDiff(true),
		diff.WithServerSideDryRunner(diffRunner(q)),
		diff.WithGVKParser(gvkParser()),
		diff.WithManager(manager(q, argoManager)),
		diff.WithIgnoreMutationWebhook(object(q.Predicted).GetManagedFields() != nil))
}

func diffRunner(q question) diff.ServerSideDryRunner { return dryRun{q.Predicted} }

func argo(q question, opts ...diff.Option) verdict {
	opts = append(opts, diff.WithLogr(logr.Discard()), diff.WithNormalizer(ignoring{q.Options.Ignore}))
	result, err := diff.Diff(object(q.Desired), object(q.Live), opts...)
	if err != nil {
		return verdict{Error: err.Error()}
	}
	patch, err := wi2l.CompareJSON(result.NormalizedLive, result.PredictedLive)
	if err != nil {
		return verdict{Error: err.Error()}
	}
	return verdict{Modified: !bytes.Equal(result.NormalizedLive, result.PredictedLive), Paths: pathsOf(patch)}
}

func pathsOf(patch wi2l.Patch) []string {
	paths := make([]string, 0, len(patch))
	for _, operation := range patch {
		paths = append(paths, operation.Path)
	}
	return paths
}
