// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func TestDNSObjects(t *testing.T) {
	objects, err := dnsObjects()
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for _, object := range objects {
		found[object.GetKind()] = true
		switch object.GetKind() {
		case "Service":
			if ip, _, _ := unstructured.NestedString(object.Object, "spec", "clusterIP"); ip != "10.96.0.10" {
				t.Errorf("the Service has address %s, not the one that kubelets give to pods", ip)
			}
		case "Deployment":
			containers, _, _ := unstructured.NestedSlice(object.Object, "spec", "template", "spec", "containers")
			if container, ok := containers[0].(map[string]any); !ok || container["image"] != CoreDNSImage {
				t.Errorf("the Deployment runs %v, want the image of the nodes, %s", containers, CoreDNSImage)
			}
		}
	}
	if !found["Service"] || !found["Deployment"] || !strings.Contains(string(dnsManifest), "Corefile") {
		t.Errorf("objects: %v", found)
	}
}
