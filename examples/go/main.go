// SPDX-License-Identifier: Apache-2.0

// The program of the first build: it says hello, and from where.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"strings"
)

const greeting = "hello from an image that cob built"

func main() {
	facts := map[string]string{
		"go":     runtime.Version(),
		"system": runtime.GOOS + "/" + runtime.GOARCH,
	}
	if release, err := os.ReadFile("/etc/os-release"); err == nil {
		for _, line := range strings.Split(string(release), "\n") {
			if strings.HasPrefix(line, "PRETTY_NAME=") {
				facts["base"] = strings.Trim(line[len("PRETTY_NAME="):], `"`)
			}
		}
	}
	text, err := json.Marshal(facts)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(greeting)
	fmt.Println(string(text))
}
