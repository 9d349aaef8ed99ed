package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/argoproj/argo-cd/gitops-engine/pkg/utils/kube/scheme"
	wi2l "github.com/wI2L/jsondiff"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
	"sigs.k8s.io/structured-merge-diff/v6/merge"
	"sigs.k8s.io/structured-merge-diff/v6/typed"
)

// What an API server does with an apply: merge by the published schema, prune what the manager gave up, default.

var errOtherVersion = errors.New("conversion between versions is not simulated")

type sameVersion struct{ version fieldpath.APIVersion }

func (c sameVersion) Convert(o *typed.TypedValue, v fieldpath.APIVersion) (*typed.TypedValue, error) {
	if v != c.version {
		return nil, errOtherVersion
	}
	return o, nil
}

func (c sameVersion) IsMissingVersionError(err error) bool { return errors.Is(err, errOtherVersion) }

func dryRunApply(live, desired *unstructured.Unstructured, manager string) (*unstructured.Unstructured, error) {
	t := parseableType(desired)
	// The API server keeps managedFields apart from what it merges.
	entries := live.GetManagedFields()
	bare := live.DeepCopy()
	bare.SetManagedFields(nil)
	before, err := t.FromUnstructured(bare.Object)
	if err != nil {
		return nil, err
	}
	applied, err := t.FromUnstructured(desired.Object)
	if err != nil {
		return nil, err
	}
	owned, err := managedFields(entries, manager)
	if err != nil {
		return nil, err
	}
	version := fieldpath.APIVersion(desired.GetAPIVersion())
	updater := merge.Updater{Converter: sameVersion{version}}
	after, _, err := updater.Apply(before, applied, version, owned, manager, true)
	if err != nil {
		return nil, err
	}
	if after == nil {
		return live.DeepCopy(), nil
	}
	return withDefaults(&unstructured.Unstructured{Object: after.AsValue().Unstructured().(map[string]any)})
}

func managedFields(entries []metav1.ManagedFieldsEntry, manager string) (fieldpath.ManagedFields, error) {
	managers := fieldpath.ManagedFields{}
	for i, entry := range entries {
		if entry.FieldsV1 == nil {
			continue
		}
		set := &fieldpath.Set{}
		if err := set.FromJSON(bytes.NewReader(entry.FieldsV1.Raw)); err != nil {
			return nil, err
		}
		applied := entry.Operation == metav1.ManagedFieldsOperationApply
		name := fmt.Sprintf("%s#%d", entry.Manager, i)
		if applied && entry.Manager == manager && entry.Subresource == "" {
			name = manager
		}
		managers[name] = fieldpath.NewVersionedSet(set, fieldpath.APIVersion(entry.APIVersion), applied)
	}
	return managers, nil
}

func parseableType(u *unstructured.Unstructured) typed.ParseableType {
	if name, ok := typeName(u.GroupVersionKind()); ok {
		if t := scheme.StaticParser().Type(name); t.IsValid() {
			return t
		}
	}
	return typed.DeducedParseableType
}

// withDefaults passes an object through its Go type, as storing and reading it does.
func withDefaults(u *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	typedObject, err := scheme.Scheme.New(u.GroupVersionKind())
	if err != nil {
		return u, nil // a custom resource has no Go type here
	}
	raw, err := json.Marshal(u.Object)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(raw, typedObject); err != nil {
		return nil, err
	}
	scheme.Scheme.Default(typedObject)
	m, err := runtime.DefaultUnstructuredConverter.ToUnstructured(typedObject)
	if err != nil {
		return nil, err
	}
	return &unstructured.Unstructured{Object: m}, nil
}

func between(live, merged *unstructured.Unstructured) []string {
	for _, u := range []*unstructured.Unstructured{live, merged} {
		unstructured.RemoveNestedField(u.Object, "status")
		metadata := map[string]any{}
		for _, kept := range []string{"labels", "annotations"} {
			if v, ok, _ := unstructured.NestedFieldNoCopy(u.Object, "metadata", kept); ok {
				metadata[kept] = v
			}
		}
		u.Object["metadata"] = metadata
	}
	patch, err := wi2l.Compare(live.Object, merged.Object)
	if err != nil {
		return nil
	}
	return pathsOf(patch)
}
