// SPDX-License-Identifier: Apache-2.0

package api

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/wovensdn/woven/api/v1"
	"github.com/wovensdn/woven/pkg/kube"
	"github.com/wovensdn/woven/pkg/sandbox"
)

// Client is a client for all kinds, as a user, without a cache.
func (s *Server) Client(user string) client.Client {
	s.t.Helper()
	scheme, err := kube.Scheme()
	if err != nil {
		s.t.Fatal(err)
	}
	c, err := client.New(s.Config(user), client.Options{Scheme: scheme})
	if err != nil {
		s.t.Fatal(err)
	}
	return c
}

// Install applies the CustomResourceDefinitions and the controller's rights,
// and waits until the kinds are served.
func (s *Server) Install() {
	s.t.Helper()
	s.Apply("config/rbac/controller.yaml")
	s.Apply("config/rbac/gateways.yaml")
	s.InstallCRDs()
}

// InstallCRDs applies only the CustomResourceDefinitions.
func (s *Server) InstallCRDs() {
	s.t.Helper()
	s.Apply("config/crd/*.yaml")
	c := s.Client(Admin)
	Eventually(s.t, "the CustomResourceDefinitions are served", startTime, func(ctx context.Context) error {
		return errors.Join(c.List(ctx, &v1.VpcList{}), c.List(ctx, &v1.SubnetList{}), c.List(ctx, &v1.IPList{}))
	})
}

// Apply creates the objects of the files of this repository that match the pattern.
func (s *Server) Apply(pattern string) {
	s.t.Helper()
	root, err := sandbox.FindSource()
	if err != nil {
		s.t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(root, pattern))
	if err != nil || len(files) == 0 {
		s.t.Fatalf("no file matches %s: %v", pattern, err)
	}
	c := s.Client(Admin)
	for _, file := range files {
		for _, o := range decode(s.t, file) {
			Eventually(s.t, file+" is applied", startTime, func(ctx context.Context) error {
				err := c.Create(ctx, o.DeepCopy())
				if apierrors.IsAlreadyExists(err) {
					return nil
				}
				return err
			})
		}
	}
}

func decode(t testing.TB, file string) []*unstructured.Unstructured {
	t.Helper()
	data, err := os.ReadFile(filepath.Clean(file))
	if err != nil {
		t.Fatal(err)
	}
	out, err := decodeText(data)
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return out
}

// decodeText reads the objects of a YAML text with one or several documents.
func decodeText(data []byte) ([]*unstructured.Unstructured, error) {
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(data), len(data))
	var out []*unstructured.Unstructured
	for {
		o := &unstructured.Unstructured{}
		if err := decoder.Decode(&o.Object); errors.Is(err, io.EOF) {
			return out, nil
		} else if err != nil {
			return nil, fmt.Errorf("decode object %d: %w", len(out)+1, err)
		}
		if len(o.Object) > 0 {
			out = append(out, o)
		}
	}
}

// AddNode creates a Node without a kubelet.
func (s *Server) AddNode(name, internalIP string) {
	s.t.Helper()
	c := s.Client(Admin)
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if err := c.Create(s.t.Context(), node); err != nil {
		s.t.Fatal(err)
	}
	node.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: internalIP}}
	if err := c.Status().Update(s.t.Context(), node); err != nil {
		s.t.Fatal(err)
	}
}

// Pod returns a pod that is already bound to a node.
func Pod(namespace, name, node string) *corev1.Pod {
	automount := false
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: corev1.PodSpec{
			NodeName: node, AutomountServiceAccountToken: &automount,
			Containers: []corev1.Container{{Name: "c", Image: "none"}},
		},
	}
}
