// SPDX-License-Identifier: Apache-2.0

// What Go's archive/tar sees: list COUNT reads 0.tar, 1.tar ... and writes 0.go and so on, a line
// "type name size link" a member, and "error" where it gives up.
package main

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"
)

var kinds = map[byte]string{tar.TypeSymlink: "l", tar.TypeLink: "h", tar.TypeDir: "d",
	tar.TypeFifo: "p", tar.TypeChar: "c", tar.TypeBlock: "b"}

var slashes = regexp.MustCompile("/+")

func list(archive []byte) string {
	var out strings.Builder
	reader := tar.NewReader(bytes.NewReader(archive))
	for {
		member, err := reader.Next()
		if err == io.EOF {
			return out.String()
		}
		var n int64
		if err == nil && member.Typeflag != tar.TypeXGlobalHeader {
			n, err = io.Copy(io.Discard, reader)
		}
		if err != nil {
			return out.String() + "error\n"
		}
		if member.Typeflag == tar.TypeXGlobalHeader {
			continue
		}
		kind, link := kinds[member.Typeflag], ""
		switch kind {
		case "":
			kind = "-"
		case "l", "h":
			link = " " + member.Linkname
		}
		name := strings.TrimRight(slashes.ReplaceAllString(member.Name, "/"), "/")
		fmt.Fprintf(&out, "%s %s %d%s\n", kind, name, n, link)
	}
}

func main() {
	count, err := strconv.Atoi(os.Args[1])
	for i := 0; i < count && err == nil; i++ {
		var archive []byte
		if archive, err = os.ReadFile(fmt.Sprintf("%d.tar", i)); err == nil {
			err = os.WriteFile(fmt.Sprintf("%d.go", i), []byte(list(archive)), 0o600)
		}
	}
	if err != nil {
		panic(err)
	}
}
