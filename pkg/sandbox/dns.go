// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"context"
	_ "embed"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

//go:embed dns.yaml
var dnsManifest []byte

// dnsObjects are CoreDNS and what it needs. The Service has the address that kubelets write into the pods' resolv.conf.
func dnsObjects() ([]*unstructured.Unstructured, error) {
	objects, err := decodeManifest(dnsManifest)
	if err != nil {
		return nil, fmt.Errorf("decode the manifest of CoreDNS: %w", err)
	}
	for _, object := range objects {
		if object.GetKind() != "Service" {
			continue
		}
		if err := unstructured.SetNestedField(object.Object, dnsAddress(), "spec", "clusterIP"); err != nil {
			return nil, fmt.Errorf("set the address of the Service of CoreDNS: %w", err)
		}
	}
	return objects, nil
}

// dnsAddress is the ClusterIP of the cluster's DNS.
func dnsAddress() string { return hostAddr(serviceNet4, 10).String() }

// startDNS applies CoreDNS and waits until it is ready.
func (c *Cluster) startDNS(ctx context.Context) error {
	objects, err := dnsObjects()
	if err != nil {
		return err
	}
	if err := c.apply(ctx, objects); err != nil {
		return err
	}
	client, err := c.client()
	if err != nil {
		return err
	}
	var last appsv1.DeploymentStatus
	err = waitUntil(ctx, statusInterval, func() bool {
		d, err := client.AppsV1().Deployments("kube-system").Get(ctx, "coredns", metav1.GetOptions{})
		if err == nil {
			last = d.Status
		}
		return err == nil && d.Status.ReadyReplicas > 0
	})
	if err != nil {
		return fmt.Errorf("wait for CoreDNS (%d replicas, %d of them ready): %w", last.Replicas, last.ReadyReplicas, err)
	}
	return nil
}
