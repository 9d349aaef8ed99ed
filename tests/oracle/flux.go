package main

import (
	"context"
	"errors"

	"github.com/fluxcd/pkg/ssa"
	"github.com/fluxcd/pkg/ssa/jsondiff"
	"github.com/fluxcd/pkg/ssa/normalize"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// What kustomize-controller and helm-controller pass to their engines.
var (
	kustomizeExclusions = map[string]string{
		"kustomize.toolkit.fluxcd.io/reconcile": "disabled",
		"kustomize.toolkit.fluxcd.io/ssa":       "Ignore",
	}
	kustomizeIfNotPresent = map[string]string{"kustomize.toolkit.fluxcd.io/ssa": "IfNotPresent"}
	helmExclusions        = map[string]string{"helm.toolkit.fluxcd.io/driftDetection": "disabled"}
)

// cluster is a client whose API server holds one object and answers one dry run.
type cluster struct {
	client.Client
	question question
}

func (c cluster) Get(_ context.Context, key client.ObjectKey, obj client.Object, _ ...client.GetOption) error {
	if c.question.Live == nil {
		return apierrors.NewNotFound(schema.GroupResource{}, key.Name)
	}
	stored, err := c.live()
	if err != nil {
		return err
	}
	obj.(*unstructured.Unstructured).Object = stored.Object
	return nil
}

// live is stored as given where a dry run was made, so that both come from the same API server.
func (c cluster) live() (*unstructured.Unstructured, error) {
	live := object(c.question.Live)
	if c.question.Predicted != nil {
		return live, nil
	}
	return withDefaults(live)
}

func (c cluster) Patch(_ context.Context, obj client.Object, patch client.Patch, opts ...client.PatchOption) error {
	if patch != client.Apply {
		return errors.New("only server-side apply is answered")
	}
	target := obj.(*unstructured.Unstructured)
	predicted := object(c.question.Predicted)
	if predicted == nil {
		live, err := c.live()
		if err != nil {
			return err
		}
		asked := client.PatchOptions{}
		asked.ApplyOptions(opts)
		if predicted, err = dryRunApply(live, target, asked.FieldManager); err != nil {
			return err
		}
	}
	if predicted.GetResourceVersion() == "" && c.question.Live != nil {
		predicted.SetResourceVersion("1") // a dry run without one means that the object would be created
	}
	target.Object = predicted.Object
	return nil
}

func fluxServerSide(q question) verdict {
	desired := object(q.Desired)
	if err := normalize.UnstructuredList([]*unstructured.Unstructured{desired}); err != nil {
		return verdict{Error: err.Error()}
	}
	unstructured.RemoveNestedField(desired.Object, "metadata", "creationTimestamp")
	owner := ssa.Owner{Field: manager(q, "kustomize-controller"), Group: "kustomize.toolkit.fluxcd.io"}
	resources := ssa.NewResourceManager(cluster{question: q}, nil, owner)
	opts := ssa.DiffOptions{Exclusions: kustomizeExclusions, IfNotPresentSelector: kustomizeIfNotPresent}
	if len(q.Options.Ignore) > 0 {
		opts.DriftIgnoreRules = []jsondiff.IgnoreRule{{Paths: q.Options.Ignore}}
	}
	entry, live, merged, err := resources.Diff(context.Background(), desired, opts)
	if err != nil {
		return verdict{Error: err.Error()}
	}
	switch entry.Action {
	case ssa.SkippedAction:
		return verdict{Skipped: true, Paths: []string{}}
	case ssa.UnchangedAction:
		return verdict{Paths: []string{}}
	default:
		return verdict{Modified: true, Paths: between(live, merged)}
	}
}

func fluxJSONDiff(q question) verdict {
	opts := []jsondiff.ListOption{
		jsondiff.FieldOwner(manager(q, "helm-controller")),
		jsondiff.ExclusionSelector(helmExclusions),
	}
	if len(q.Options.Ignore) > 0 {
		opts = append(opts, jsondiff.IgnoreRules{{Paths: q.Options.Ignore}})
	}
	objects := []*unstructured.Unstructured{object(q.Desired)}
	if err := normalize.UnstructuredList(objects); err != nil {
		return verdict{Error: err.Error()}
	}
	set, err := jsondiff.UnstructuredList(context.Background(), cluster{question: q}, objects, opts...)
	if err != nil {
		return verdict{Error: err.Error()}
	}
	d := set[0]
	return verdict{Modified: set.HasChanges(), Skipped: d.Type == jsondiff.DiffTypeExclude, Paths: pathsOf(d.Patch)}
}
